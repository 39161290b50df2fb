//! DPDK's packet classifier (rte_acl), which benches compare with: the vRouter itself does not use it.

use std::ffi::CString;
use std::mem::size_of;
use std::net::IpAddr;
use std::ptr::NonNull;

use crate::sys;
use crate::{Eal, error_text, last_errno};

/// Words of a packed tuple: protocol, two addresses of four words, ports.
const WORDS: usize = 10;
/// Fields of a rule: each of those words, with the two ports apart.
const MOST_FIELDS: usize = WORDS + 1;

/// A rule: what comes first decides.
#[derive(Clone, Copy, Debug)]
pub struct ClassifierRule {
    /// Absent: any.
    pub protocol: Option<u8>,
    /// Prefixes of the classifier's family; absent: any.
    pub source: Option<(IpAddr, u8)>,
    /// As `source`.
    pub destination: Option<(IpAddr, u8)>,
    /// Inclusive.
    pub source_ports: (u16, u16),
    /// Inclusive.
    pub destination_ports: (u16, u16),
}

/// A tuple as rte_acl reads it: words in network order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(4))]
pub struct Packed([u8; WORDS * 4]);

impl Packed {
    /// Of addresses of one family.
    pub fn new(protocol: u8, source: IpAddr, destination: IpAddr, ports: (u16, u16)) -> Packed {
        let mut packed = Packed([0; WORDS * 4]);
        packed.0[0] = protocol;
        let mut end = 4;
        for address in [source, destination] {
            let (v4, v6);
            let octets: &[u8] = match address {
                IpAddr::V4(address) => {
                    v4 = address.octets();
                    &v4
                }
                IpAddr::V6(address) => {
                    v6 = address.octets();
                    &v6
                }
            };
            packed.0[end..end + octets.len()].copy_from_slice(octets);
            end += octets.len();
        }
        packed.0[end..end + 2].copy_from_slice(&ports.0.to_be_bytes());
        packed.0[end + 2..end + 4].copy_from_slice(&ports.1.to_be_bytes());
        packed
    }
}

/// Why there is no classifier.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClassifierError {
    /// No context, or no room for the rules.
    #[error("rte_acl takes no rules: {0}")]
    Rules(String),
    /// Too many, or the memory limit was reached.
    #[error("rte_acl does not build: {0}")]
    Build(String),
}

/// Rules that rte_acl has built. Freed on drop. Not `Send`: a bench's thread makes and asks it.
#[derive(Debug)]
pub struct Classifier(NonNull<sys::rte_acl_ctx>);

/// `struct rte_acl_rule` with its fields.
#[repr(C)]
#[derive(Clone, Copy)]
struct Row {
    data: sys::rte_acl_rule_data,
    fields: [sys::rte_acl_field; MOST_FIELDS],
}

impl Classifier {
    /// Builds these rules, of IPv4 or IPv6; `most_bytes` for the tries (0: no limit).
    ///
    /// # Errors
    /// What rte_acl refuses, for one when its tries would be larger than `most_bytes`.
    pub fn build(
        _: &Eal,
        v6: bool,
        rules: &[ClassifierRule],
        most_bytes: usize,
    ) -> Result<Classifier, ClassifierError> {
        let words = if v6 { 4 } else { 1 };
        let fields = 3 + 2 * words;
        let name = CString::new("vrouter-bench").expect("no NUL");
        let size = size_of::<sys::rte_acl_rule_data>() + fields * size_of::<sys::rte_acl_field>();
        let parameters = sys::rte_acl_param {
            name: name.as_ptr(),
            socket_id: -1,
            rule_size: size as u32,
            max_rule_num: rules.len() as u32,
        };
        // SAFETY: the EAL runs; the parameters and the name outlive the call, which copies them.
        let context = unsafe { sys::rte_acl_create(&parameters) };
        let Some(context) = NonNull::new(context) else {
            return Err(ClassifierError::Rules(error_text(last_errno())));
        };
        let classifier = Classifier(context);
        for (at, rule) in rules.iter().enumerate() {
            let row = Row::new(rule, words, (rules.len() - at) as i32, at as u32 + 1);
            // SAFETY: the context lives. One rule is read, of `rule_size` bytes, no more than a row has.
            let error = unsafe { sys::rte_acl_add_rules(context.as_ptr(), (&raw const row).cast(), 1) };
            if error != 0 {
                return Err(ClassifierError::Rules(error_text(error)));
            }
        }
        let config = config(words, most_bytes);
        // SAFETY: the context lives; the configuration is read during the call only.
        let error = unsafe { sys::rte_acl_build(context.as_ptr(), &config) };
        if error != 0 {
            return Err(ClassifierError::Build(error_text(error)));
        }
        Ok(classifier)
    }

    /// The index of the first rule that matches, for each tuple of the classifier's family; `u32::MAX`: none. 64 at once.
    ///
    /// # Panics
    /// If the slices' lengths differ.
    pub fn classify(&self, tuples: &[Packed], answers: &mut [u32]) {
        const BURST: usize = 64;
        assert_eq!(tuples.len(), answers.len(), "one answer a tuple");
        for (tuples, answers) in tuples.chunks(BURST).zip(answers.chunks_mut(BURST)) {
            let mut data = [std::ptr::null::<u8>(); BURST];
            data.iter_mut().zip(tuples).for_each(|(data, tuple)| *data = tuple.0.as_ptr());
            let (data, results) = (data.as_mut_ptr(), answers.as_mut_ptr());
            // SAFETY: the context is built. As many pointers and answers are there as are told, one category each; a tuple has all the
            // bytes that the fields' offsets name, and is only read.
            let error = unsafe { sys::rte_acl_classify(self.0.as_ptr(), data, results, tuples.len() as u32, 1) };
            assert_eq!(error, 0, "rte_acl_classify refuses its arguments");
            answers.iter_mut().for_each(|answer| *answer = answer.wrapping_sub(1));
        }
    }
}

impl Drop for Classifier {
    fn drop(&mut self) {
        // SAFETY: the context was created and is freed once.
        unsafe { sys::rte_acl_free(self.0.as_ptr()) };
    }
}

impl Row {
    fn new(rule: &ClassifierRule, words: usize, priority: i32, userdata: u32) -> Row {
        let data = sys::rte_acl_rule_data { category_mask: 1, priority, userdata };
        let mut fields = [field(0, 0); MOST_FIELDS];
        fields[0] = rule.protocol.map_or(field(0, 0), |protocol| field(protocol.into(), 0xff));
        for (side, start) in [(rule.source, 1), (rule.destination, 1 + words)] {
            let Some((address, length)) = side else { continue };
            let bits = match address {
                IpAddr::V4(address) => u128::from(address.to_bits()) << 96,
                IpAddr::V6(address) => address.to_bits(),
            };
            for word in 0..words {
                let length = u32::from(length).saturating_sub(word as u32 * 32).min(32);
                fields[start + word] = field((bits >> (96 - 32 * word)) as u32, length);
            }
        }
        let (from, to) = (rule.source_ports, rule.destination_ports);
        fields[1 + 2 * words] = field(from.0.into(), from.1.into());
        fields[2 + 2 * words] = field(to.0.into(), to.1.into());
        Row { data, fields }
    }
}

/// Zero beyond the value's own size.
fn field(value: u32, other: u32) -> sys::rte_acl_field {
    let of = |value: u32| sys::rte_acl_field_types { u64_: value.into() };
    sys::rte_acl_field { value: of(value), mask_range: of(other) }
}

fn config(words: usize, most_bytes: usize) -> sys::rte_acl_config {
    let mut config = sys::rte_acl_config {
        num_categories: 1,
        num_fields: 3 + 2 * words as u32,
        max_size: most_bytes,
        ..Default::default()
    };
    let (mask, range, bits) =
        (sys::RTE_ACL_FIELD_TYPE_MASK, sys::RTE_ACL_FIELD_TYPE_RANGE, sys::RTE_ACL_FIELD_TYPE_BITMASK);
    for at in 0..3 + 2 * words {
        let ports = 1 + 2 * words;
        // Type, size, input (four bytes that are read together), offset.
        let (kind, size, input, offset) = match at {
            0 => (bits, 1, 0, 0),
            _ if at < ports => (mask, 4, at, 4 * at),
            _ => (range, 2, ports, 4 * ports + 2 * (at - ports)),
        };
        config.defs[at] = sys::rte_acl_field_def {
            type_: kind as u8,
            size,
            field_index: at as u8,
            input_index: input as u8,
            offset: offset as u32,
        };
    }
    config
}
