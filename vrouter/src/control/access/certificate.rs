//! Whose a client's certificate is: its subject's common name and its URIs. That it is valid and by whom was verified before.

use rustls::pki_types::CertificateDer;
use webpki::EndEntityCert;

/// The common name, then the URIs among the alternative names (RFC 5280, sections 4.1.2.6 and 4.2.1.6); empty: no such name. A common
/// name that looks like a URI is none: who signs certificates may check one kind of name and not the other.
pub fn names(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok(certificate) = EndEntityCert::try_from(certificate) else { return Vec::new() };
    let common = common_name(certificate.subject());
    common.into_iter().chain(certificate.valid_uri_names().map(str::to_owned)).collect()
}

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT_IDENTIFIER: u8 = 0x06;
/// UTF8String, PrintableString, IA5String.
const TEXTS: [u8; 3] = [0x0c, 0x13, 0x16];
/// 2.5.4.3
const COMMON_NAME: [u8; 3] = [0x55, 0x04, 0x03];

/// Of the content of a Name in DER: the one common name. Several are none, as nobody could say which of them counts, nor is one of a URI.
fn common_name(name: &[u8]) -> Option<String> {
    let mut found = Vec::new();
    for (tag, set) in Values(name) {
        for (inner, pair) in Values(set).filter(|_| tag == SET) {
            let mut parts = Values(pair);
            if inner == SEQUENCE
                && parts.next() == Some((OBJECT_IDENTIFIER, &COMMON_NAME[..]))
                && let Some((kind, text)) = parts.next()
            {
                found.push(TEXTS.contains(&kind).then(|| std::str::from_utf8(text).ok()).flatten()?);
            }
        }
    }
    let [one] = found[..] else { return None };
    (!one.is_empty() && !one.chars().any(char::is_control) && !one.contains("://")).then(|| one.to_owned())
}

/// Values in DER, one after the other: tag and content. Ends at what is malformed.
struct Values<'a>(&'a [u8]);

impl<'a> Iterator for Values<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let [tag, first, rest @ ..] = self.0 else { return None };
        let (length, rest) = match first {
            0..=0x7f => (usize::from(*first), rest),
            0x81..=0x83 => {
                let (length, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                (length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((*tag, content))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;

    /// C=DE, O=Example, CN=cni, as `openssl x509` writes it.
    const NAME: &[u8] = b"\x31\x0b0\x09\x06\x03\x55\x04\x06\x13\x02DE\x31\x100\x0e\x06\x03\x55\x04\x0a\x0c\x07Example\
                          \x31\x0c0\x0a\x06\x03\x55\x04\x03\x0c\x03cni";

    #[test]
    fn the_one_common_name_is_found() {
        assert_eq!(common_name(NAME).as_deref(), Some("cni"));
        assert_eq!(common_name(&NAME[..31]), None, "country and organisation only");
        assert_eq!(common_name(&[NAME, NAME].concat()), None, "two");
        let control = [&NAME[..NAME.len() - 1], b"\n"].concat();
        assert_eq!(common_name(&control), None);
        let uri = b"\x31\x0d0\x0b\x06\x03\x55\x04\x03\x0c\x04a://";
        assert_eq!(common_name(uri), None, "a URI");
        let mut wide = NAME.to_vec();
        wide[NAME.len() - 5] = 0x1e;
        assert_eq!(common_name(&wide), None, "a BMPString");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_not(bytes in prop::collection::vec(any::<u8>(), 0..200), cut in 0..NAME.len()) {
            _ = common_name(&bytes);
            assert_eq!(common_name(&NAME[..cut]), None);
            prop_assert!(names(&CertificateDer::from(bytes)).is_empty());
        }
    }
}
