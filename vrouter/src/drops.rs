//! Why a packet was dropped. Every exit of the datapath that is no transmission has a reason here; there is no catch-all.

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+) => {
        /// The reasons, in the order of the packet's path.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum DropReason {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl DropReason {
            /// All reasons; a reason's place is its number.
            pub const ALL: &[DropReason] = &[$(DropReason::$variant,)+];
            /// How many there are.
            pub const COUNT: usize = DropReason::ALL.len();

            /// The name in counters, tools and documents.
            pub fn name(self) -> &'static str {
                match self { $(DropReason::$variant => $name,)+ }
            }

            /// One sentence for people.
            pub fn meaning(self) -> &'static str {
                match self { $(DropReason::$variant => concat!($($doc),+).trim_ascii(),)+ }
            }
        }
    };
}

reasons! {
    /// The device had no free rx descriptor.
    RxMissed = "rx_missed",
    /// The device found no free mbuf.
    RxNoMbuf = "rx_no_mbuf",
    /// The device received a damaged frame.
    RxErrors = "rx_errors",
    /// Larger than a buffer, and no buffer that is large enough was free.
    MultiSegment = "multi_segment",
    /// The port has no VIF.
    NoVif = "no_vif",
    /// Shorter than an Ethernet header.
    FrameTooShort = "frame_too_short",
    /// On a fabric VIF with an 802.1Q tag: untagged, or with another tag.
    VlanUnknown = "vlan_unknown",
    /// The destination MAC is not ours.
    MacNotOurs = "mac_not_ours",
    /// Tenant broadcast or multicast without a bridge, or to a group that no bridge forwards.
    Multicast = "multicast",
    /// Neither IPv4, IPv6 nor ARP.
    EthertypeUnknown = "ethertype_unknown",
    /// The source MAC, a tenant's or that of the host's kernel, is not its VIF's.
    MacSpoofed = "mac_spoofed",
    /// The IPv4 header is truncated, of another version or length.
    Ipv4Header = "ipv4_header",
    /// The IPv4 header's checksum is wrong.
    Ipv4Checksum = "ipv4_checksum",
    /// The IPv6 header or its extension chain is truncated, of another version, or too long to follow.
    Ipv6Header = "ipv6_header",
    /// The IP length says more than the frame holds.
    IpLength = "ip_length",
    /// The transport header is truncated; or a guest leaves a TCP segment to us that is to be cut into more than 128.
    TransportHeader = "transport_header",
    /// A first fragment too short to hold its ports (RFC 1858, RFC 7112).
    FragmentTooShort = "fragment_too_short",
    /// The source address may not be used by this VIF, or may never be a source.
    SourceSpoofed = "source_spoofed",
    /// A fabric packet for an address that is not ours.
    NotForUs = "not_for_us",
    /// A BFD packet that came from farther away than its session's peer is (RFC 5881, section 5; RFC 5883, section 4).
    BfdTtl = "bfd_ttl",
    /// A fragment of a tunnel's outer packet that cannot be one: empty, not of whole units of eight bytes, or behind the end of any packet.
    OuterFragment = "outer_fragment",
    /// A fragment of a tunnel's outer packet that overlaps another, or lies behind the last one (RFC 5722); and the others of that packet.
    OuterFragmentOverlap = "outer_fragment_overlap",
    /// A fragment of a tunnel's outer packet that is too large to be put together here, or is of too many.
    OuterFragmentTooLarge = "outer_fragment_too_large",
    /// A fragment of a tunnel's outer packet that made room for others: its sender has many, or all have too many.
    OuterFragmentFull = "outer_fragment_full",
    /// A fragment of a tunnel's outer packet that was not whole in time.
    OuterFragmentTimedOut = "outer_fragment_timed_out",
    /// The UDP checksum of a tunnel over IPv6 is wrong (RFC 6936, section 5).
    UdpChecksum = "udp_checksum",
    /// The VXLAN header is truncated or lacks the I bit (RFC 7348, section 5).
    VxlanHeader = "vxlan_header",
    /// The GENEVE header is truncated, of another version, or its options are longer than they may be (RFC 8926, section 3.4).
    GeneveHeader = "geneve_header",
    /// A GENEVE control packet, which nothing here understands.
    GeneveControl = "geneve_control",
    /// GENEVE carries something other than Ethernet.
    GeneveProtocol = "geneve_protocol",
    /// A GENEVE option that nobody may ignore, and that is not known here (RFC 8926, section 3.5).
    GeneveCriticalOption = "geneve_critical_option",
    /// No VRF has this VNI.
    VniUnknown = "vni_unknown",
    /// The GRE header is truncated, of another version, or has bits that may not be ignored (RFC 2784, section 2.2).
    GreHeader = "gre_header",
    /// The GRE checksum is wrong.
    GreChecksum = "gre_checksum",
    /// GRE carries something other than MPLS (RFC 4023).
    GreProtocol = "gre_protocol",
    /// The MPLS stack is truncated or deeper than one label (RFC 3032).
    MplsHeader = "mpls_header",
    /// No VRF and no VIF has this label.
    LabelUnknown = "label_unknown",
    /// Congestion was marked on the outer header of a packet whose ends do not understand the mark (RFC 6040, section 4.2).
    EcnForbidden = "ecn_forbidden",
    /// The tunnel's sender may not send into this VRF.
    VtepNotAllowed = "vtep_not_allowed",
    /// The inner destination MAC is not our router MAC.
    InnerMacNotOurs = "inner_mac_not_ours",
    /// Sent with the MAC address of a station that an FDB entry holds elsewhere.
    StickyElsewhere = "sticky_elsewhere",
    /// Neither IPv4, IPv6 nor ARP, in a bridge for these alone.
    NotIp = "not_ip",
    /// Bridged, to a MAC address that no station of the bridge has.
    UnknownUnicast = "unknown_unicast",
    /// Bridged, to where it came from: the same VIF, or from a tunnel into a tunnel.
    SplitHorizon = "split_horizon",
    /// Bridged, from a leaf of an E-tree to another (RFC 8317).
    LeafToLeaf = "leaf_to_leaf",
    /// More frames to everybody in its bridge than the VIF, or the VRF's tunnels, may send.
    FloodBudget = "flood_budget",
    /// A frame to everybody in a bridge, where there is nobody else.
    NobodyElse = "nobody_else",
    /// There was no memory for one of the copies of a frame to everybody in its bridge.
    FloodNoRoom = "flood_no_room",
    /// The TTL or hop limit ends here.
    TtlExpired = "ttl_expired",
    /// More fragments than the quota of the VIF, the VRF's tunnels or the tenant allows.
    FragmentQuota = "fragment_quota",
    /// A later fragment of a packet whose first one was dropped.
    FragmentHeadDropped = "fragment_head_dropped",
    /// A later fragment of a packet of which two first ones came, with different ports.
    FragmentOverlap = "fragment_overlap",
    /// More later fragments wait for the first ones of their packets than there is room for.
    FragmentHoldFull = "fragment_hold_full",
    /// A later fragment, the first one of whose packet did not come in time.
    FragmentTimedOut = "fragment_timed_out",
    /// TCP that is new without SYN, refused by setting.
    TcpNotSyn = "tcp_not_syn",
    /// An ICMP error that quotes no flow of ours.
    IcmpErrorNoFlow = "icmp_error_no_flow",
    /// More packets without a flow than the quota of the VIF, the VRF's tunnels or the tenant allows: not decided about.
    NewFlowQuota = "new_flow_quota",
    /// No route to the destination.
    NoRoute = "no_route",
    /// Routes into other VRFs lead through more than 8 VRFs, or round in a circle.
    VrfDepth = "vrf_depth",
    /// The route says drop.
    RouteDrop = "route_drop",
    /// The next hop is gone or its VIF has no port.
    NextHopGone = "next_hop_gone",
    /// The underlay has no route to the tunnel's far end.
    NoUnderlayRoute = "no_underlay_route",
    /// Denied by the source VIF's from_vif ACL.
    AclFromVif = "acl_from_vif",
    /// Denied by a VRF's ACL.
    AclVrf = "acl_vrf",
    /// Denied by the destination VIF's to_vif ACL.
    AclToVif = "acl_to_vif",
    /// A rule redirects it, but it is bridged, or came by a label of the VIF that it is for: what is redirected is routed.
    RedirectNotRouted = "redirect_not_routed",
    /// The VIF sets up flows faster than its budget.
    FlowBudget = "flow_budget",
    /// The holder of a new flow holds as many as its quota allows, or its tenant's does, and none of them was found that may go.
    FlowQuota = "flow_quota",
    /// The flow table is full and nothing may be evicted for this VIF.
    FlowTableFull = "flow_table_full",
    /// Larger than the next hop's MTU.
    MtuExceeded = "mtu_exceeded",
    /// No buffer was left for a piece of a packet that leaves in pieces.
    PieceNoRoom = "piece_no_room",
    /// The frame has no room for the new headers.
    NoHeadroom = "no_headroom",
    /// Too many packets wait for the next hop's MAC.
    NeighbourHoldFull = "neighbour_hold_full",
    /// The next hop's MAC was asked for and nobody answered.
    NeighbourUnresolved = "neighbour_unresolved",
    /// The VIF's budget for the slow path is spent.
    PuntBudget = "punt_budget",
    /// More packets for the slow path than the quota of the VIF, the VRF's tunnels or the tenant allows.
    PuntQuota = "punt_quota",
    /// The ring to the slow path is full.
    PuntRingFull = "punt_ring_full",
    /// A malformed ARP packet, or one with a forged sender.
    ArpInvalid = "arp_invalid",
    /// A malformed neighbour discovery packet, or one with a forged sender (RFC 4861).
    NdInvalid = "nd_invalid",
    /// ARP or ND for an address that we do not answer for, from nobody that we asked, or a router's word to hosts.
    NeighbourNotOurs = "neighbour_not_ours",
    /// A BFD packet of another version or length, or with fields that make no sense (RFC 5880, section 6.8.6).
    BfdMalformed = "bfd_malformed",
    /// An authenticated BFD packet, which no session here expects.
    BfdAuthenticated = "bfd_authenticated",
    /// A BFD packet for a session that its peer does not have with us, or has no more.
    BfdNoSession = "bfd_no_session",
    /// For an address of ours, but nothing here answers it.
    LocalUnanswered = "local_unanswered",
    /// More frames to or from the host's kernel than their budget allows.
    ExceptionBudget = "exception_budget",
    /// The ring to the worker that owns the tx queue is full.
    TxHandoverFull = "tx_handover_full",
    /// The device took no more frames.
    TxRefused = "tx_refused",
}

impl DropReason {
    /// The reason with this name.
    pub fn named(name: &str) -> Option<DropReason> {
        DropReason::ALL.iter().copied().find(|reason| reason.name() == name)
    }

    /// The reason with this number, as stored in a flow entry.
    pub fn numbered(number: u8) -> Option<DropReason> {
        DropReason::ALL.get(usize::from(number)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_are_one_to_one() {
        for (number, &reason) in DropReason::ALL.iter().enumerate() {
            assert_eq!(reason as usize, number);
            assert_eq!(DropReason::numbered(reason as u8), Some(reason));
            assert_eq!(DropReason::named(reason.name()), Some(reason));
        }
        assert_eq!(DropReason::numbered(DropReason::COUNT as u8), None);
    }
}
