//! How the types of [`super::text`] are read from YAML and written to it: scalars of any spelling, through `FromStr` and `Display`.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::text::{Ports, Prefix, Protocol, TextError};
use crate::ids::Mac;

/// Reads a scalar, quoted or not, number or not, through its `FromStr`.
struct Scalar<T>(PhantomData<T>);

impl<T: FromStr<Err: fmt::Display>> Visitor<'_> for Scalar<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number or text")
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(|error: T::Err| {
            let reason = error.to_string();
            E::custom(if reason.contains(text) { reason } else { format!("{text:?}: {reason}") })
        })
    }
}

macro_rules! as_text {
    ($type:ty, $name:literal, $read:ident, $description:literal, $($example:expr),+) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                from.$read(Scalar(PhantomData))
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": ["string", "integer"], "description": $description, "examples": [$($example),+] })
            }
        }
    };
}

as_text!(Prefix, "Prefix", deserialize_str, "An IP prefix, or an address.", "10.1.1.0/24", "2001:db8::/32");
as_text!(Mac, "Mac", deserialize_str, "A MAC address.", "02:00:00:00:00:01");
as_text!(Protocol, "Protocol", deserialize_any, "An IP protocol's name or number.", "tcp", 6);
as_text!(Ports, "Ports", deserialize_any, "A port, or a range of ports.", 80, "8000-8099");

/// For serde: `any` is absent.
pub fn protocol_or_any<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Protocol>, D::Error> {
    struct OrAny(Option<Protocol>);

    impl FromStr for OrAny {
        type Err = TextError;

        fn from_str(text: &str) -> Result<OrAny, TextError> {
            if text == "any" { Ok(OrAny(None)) } else { text.parse().map(Some).map(OrAny) }
        }
    }

    Ok(Option::<Read<OrAny>>::deserialize(from)?.and_then(|read| read.0.0))
}

/// For serde: one scalar or a list of them.
pub fn one_or_many<'de, D, T>(from: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: fmt::Display>,
{
    struct OneOrMany<T>(PhantomData<T>);

    impl<'de, T: FromStr<Err: fmt::Display>> Visitor<'de> for OneOrMany<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("one or a list")
        }

        fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Vec<T>, E> {
            Scalar(PhantomData).visit_u64(number).map(|one| vec![one])
        }

        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Vec<T>, E> {
            Scalar(PhantomData).visit_str(text).map(|one| vec![one])
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
            let mut all = Vec::new();
            while let Some(Read(one)) = list.next_element()? {
                all.push(one);
            }
            Ok(all)
        }
    }

    from.deserialize_any(OneOrMany(PhantomData))
}

/// The schema of what [`one_or_many`] reads.
pub fn one_or_many_schema<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    let one = generator.subschema_for::<T>();
    json_schema!({ "anyOf": [one, { "type": "array", "items": one }] })
}

/// An address type whose error names the text (the standard library's says only that it is invalid).
pub trait Address: FromStr {
    const ERROR: fn(String) -> TextError;
}

impl Address for IpAddr {
    const ERROR: fn(String) -> TextError = TextError::Address;
}

impl Address for Ipv4Addr {
    const ERROR: fn(String) -> TextError = TextError::Ipv4;
}

impl Address for Ipv6Addr {
    const ERROR: fn(String) -> TextError = TextError::Ipv6;
}

struct Named<T>(T);

impl<T: Address> FromStr for Named<T> {
    type Err = TextError;

    fn from_str(text: &str) -> Result<Named<T>, TextError> {
        text.parse().map(Named).map_err(|_| T::ERROR(text.to_owned()))
    }
}

/// A scalar of any spelling, read through its `FromStr`.
struct Read<T>(T);

impl<'de, T: FromStr<Err: fmt::Display>> Deserialize<'de> for Read<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Read<T>, D::Error> {
        from.deserialize_any(Scalar(PhantomData)).map(Read)
    }
}

/// For serde.
pub fn named_address<'de, D: Deserializer<'de>, T: Address>(from: D) -> Result<T, D::Error> {
    Read::<Named<T>>::deserialize(from).map(|read| read.0.0)
}

/// For serde.
pub fn optional_address<'de, D: Deserializer<'de>, T: Address>(from: D) -> Result<Option<T>, D::Error> {
    Ok(Option::<Read<Named<T>>>::deserialize(from)?.map(|read| read.0.0))
}

/// For serde.
pub fn addresses<'de, D: Deserializer<'de>, T: Address>(from: D) -> Result<Vec<T>, D::Error> {
    Ok(Vec::<Read<Named<T>>>::deserialize(from)?.into_iter().map(|read| read.0.0).collect())
}
