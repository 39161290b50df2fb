//! How the headers of tunnels and of what they carry follow each other.

/// The settings of it; ECN is not among them, which always follows RFC 6040.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TunnelHeaders {
    /// RFC 2983.
    pub dscp: Model,
    /// The outer DSCP of the pipe model, 6 bits.
    pub outer_dscp: u8,
    /// RFC 3443.
    pub mpls_ttl: Model,
    /// Whether TC is the DSCP's upper three bits, or zero.
    pub mpls_tc: Model,
    /// The TC that means "congestion marked" (RFC 5129), 1 to 7; only where `mpls_tc` is the pipe model.
    pub mpls_congestion_marked: Option<u8>,
}

/// RFC 2983, section 3; RFC 3443, section 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Model {
    /// One value for both headers: copied out at encap, back at decap.
    Uniform,
    /// The outer header has its own, the inner one passes as it is.
    Pipe,
}

impl Default for TunnelHeaders {
    fn default() -> TunnelHeaders {
        TunnelHeaders {
            dscp: Model::Uniform,
            outer_dscp: 0,
            mpls_ttl: Model::Pipe,
            mpls_tc: Model::Pipe,
            mpls_congestion_marked: None,
        }
    }
}

/// What an encapsulation writes by the packet that it carries, beside lengths and entropy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marking {
    /// Outer TOS or traffic class: these bits of the packet's ...
    pub class_mask: u8,
    /// ... and these besides.
    pub class_bits: u8,
    /// `None`: the label's TC and TTL are those of the template.
    pub label: Option<LabelMarking>,
}

/// The same of a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LabelMarking {
    /// TTL is the packet's.
    pub ttl: bool,
    /// TC is the upper three bits of the packet's DSCP.
    pub class: bool,
    /// TC of packets that have congestion marked; 0: that of the others.
    pub congestion_marked: u8,
}

impl TunnelHeaders {
    /// What tunnels write by it; `mpls`: they have a label.
    pub fn marking(&self, mpls: bool) -> Marking {
        let (class_mask, class_bits) = match self.dscp {
            Model::Uniform => (0xff, 0),
            Model::Pipe => (3, self.outer_dscp << 2),
        };
        let label = LabelMarking {
            ttl: self.mpls_ttl == Model::Uniform,
            class: self.mpls_tc == Model::Uniform,
            congestion_marked: self.mpls_congestion_marked.unwrap_or(0),
        };
        let follows = label.ttl || label.class || label.congestion_marked != 0;
        Marking { class_mask, class_bits, label: (mpls && follows).then_some(label) }
    }
}
