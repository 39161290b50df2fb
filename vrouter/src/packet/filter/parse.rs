//! From text to a filter.

use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use super::super::tuple::protocol::{GRE, ICMP, ICMPV6, SCTP, TCP, UDP};
use super::layers::{ARP, IPV4, IPV6, RARP};
use super::{Direction, Filter, MOST_BYTES, MOST_NODES, MOST_STEPS, Node, Step, Test, Versions};
use crate::ids::Mac;

/// Why text is no filter, and where: bytes from its beginning, the first is column 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("column {column}: {fault}")]
pub struct FilterError {
    pub column: usize,
    pub fault: Fault,
}

/// What is wrong there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("there must be {0} here")]
    Missing(&'static str),
    #[error("{0:?} is none of a filter's words, nor an address")]
    Unknown(String),
    #[error("{0:?} is no {1}")]
    Not(String, &'static str),
    #[error("{0:?} has bits beyond its length")]
    HostBits(String),
    #[error("the first port is greater than the last")]
    Turned,
    #[error("{0} does not go with {1}")]
    Mismatch(&'static str, &'static str),
    #[error("a parenthesis that was not opened")]
    Unopened,
    #[error("the filter is too long: at most {0}")]
    TooLong(&'static str),
}

type Parsed<T> = Result<T, FilterError>;

#[derive(Clone, Copy, Debug)]
struct Token<'a> {
    text: &'a str,
    column: usize,
}

/// What an address or number is one of, as the words before it say.
#[derive(Clone, Copy, Debug, Default)]
struct Qualifiers {
    of: Option<Of>,
    direction: Option<Direction>,
    kind: Option<Kind>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Of {
    Ether,
    Ip,
    Ip6,
    Arp,
    Rarp,
    Tcp,
    Udp,
    Sctp,
    Icmp,
    Icmp6,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Host,
    Net,
    Port,
    PortRange,
    Proto,
}

struct Parser<'a> {
    tokens: Vec<Token<'a>>,
    at: usize,
    end: usize,
    filter: Filter,
    /// Those of the address or number before.
    last: Qualifiers,
}

impl Filter {
    /// Reads text in the language of tcpdump; without any, all frames match.
    ///
    /// # Errors
    /// The first place that is wrong.
    pub fn parse(text: &str) -> Result<Filter, FilterError> {
        if text.len() > MOST_BYTES {
            return Err(FilterError { column: MOST_BYTES + 1, fault: Fault::TooLong("4096 bytes") });
        }
        let tokens = tokens(text);
        let mut parser =
            Parser { tokens, at: 0, end: text.len() + 1, filter: Filter::default(), last: Qualifiers::default() };
        if !parser.tokens.is_empty() {
            parser.expression(0)?;
            match parser.peek() {
                None => {}
                Some(")") => return Err(parser.fault(Fault::Unopened)),
                Some(_) => return Err(parser.fault(Fault::Missing("\"and\" or \"or\""))),
            }
        }
        Ok(parser.filter)
    }
}

/// Words, parentheses and operators.
fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut all = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        let column = text.len() - rest.len() + 1;
        let Some(first) = rest.chars().next() else { return all };
        let length = match first {
            '(' | ')' | '!' => 1,
            '&' | '|' if rest[1..].starts_with(first) => 2,
            '&' | '|' => 1,
            _ => rest.find(|c: char| c.is_whitespace() || "()!&|".contains(c)).unwrap_or(rest.len()),
        };
        all.push(Token { text: &rest[..length], column });
        rest = &rest[length..];
    }
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<&'a str> {
        self.tokens.get(self.at).map(|token| token.text)
    }

    fn next(&mut self) -> Option<Token<'a>> {
        let token = self.tokens.get(self.at).copied()?;
        self.at += 1;
        Some(token)
    }

    /// Takes the next word if it is this.
    fn take(&mut self, words: &[&str]) -> bool {
        let found = self.peek().is_some_and(|word| words.contains(&word));
        self.at += usize::from(found);
        found
    }

    /// At the next word.
    fn fault(&self, fault: Fault) -> FilterError {
        FilterError { column: self.tokens.get(self.at).map_or(self.end, |token| token.column), fault }
    }

    fn need(&mut self, what: &'static str) -> Parsed<Token<'a>> {
        let missing = self.fault(Fault::Missing(what));
        self.next().filter(|token| !token.text.starts_with([')', '&', '|'])).ok_or(missing)
    }

    /// `and` and `or` bind alike, from the left. Leaves its answer in the last node.
    fn expression(&mut self, depth: usize) -> Parsed<usize> {
        let mut left = self.term(depth)?;
        loop {
            let and = self.take(&["and", "&&"]);
            if !and && !self.take(&["or", "||"]) {
                return Ok(left);
            }
            let right = self.term(depth)?;
            left = self.push(if and { Node::And(left, right) } else { Node::Or(left, right) })?;
        }
    }

    fn term(&mut self, depth: usize) -> Parsed<usize> {
        if depth > MOST_NODES {
            return Err(self.fault(Fault::TooLong("128 parentheses")));
        }
        if self.take(&["not", "!"]) {
            let of = self.term(depth + 1)?;
            return self.push(Node::Not(of));
        }
        if self.take(&["("]) {
            let inner = self.expression(depth + 1)?;
            if !self.take(&[")"]) {
                return Err(self.fault(Fault::Missing("and, or, or a closing parenthesis")));
            }
            return Ok(inner);
        }
        self.primitive()
    }

    fn push(&mut self, node: Node) -> Parsed<usize> {
        if self.filter.nodes.len() == MOST_NODES {
            return Err(self.fault(Fault::TooLong("128 tests and operators")));
        }
        self.filter.nodes.push(node);
        Ok(self.filter.nodes.len() - 1)
    }

    fn test(&mut self, test: Test) -> Parsed<usize> {
        let layer = self.filter.steps.len();
        self.push(Node::Test(layer, test))
    }

    fn primitive(&mut self) -> Parsed<usize> {
        let at = self.at;
        let word = self.need("a test")?;
        let step = match word.text {
            "vlan" => Some((Step::Vlan, 0xfff, "VLAN (0 to 4095)")),
            "vxlan" => Some((Step::Vxlan, 0xff_ffff, "VNI (0 to 16777215)")),
            "geneve" => Some((Step::Geneve, 0xff_ffff, "VNI (0 to 16777215)")),
            "mpls" => Some((Step::Mpls, 0xf_ffff, "label (0 to 1048575)")),
            _ => None,
        };
        if let Some((step, most, what)) = step {
            return self.step(step, most, what);
        }
        match word.text {
            "less" => return self.bytes(Test::AtMost),
            "greater" => return self.bytes(Test::AtLeast),
            "broadcast" => return self.test(Test::Broadcast),
            "multicast" => return self.test(Test::Multicast),
            _ => self.at = at,
        }
        self.qualified()
    }

    /// What follows is about what is behind it.
    fn step(&mut self, step: Step, most: u32, what: &'static str) -> Parsed<usize> {
        let has_number = self.peek().is_some_and(|word| word.starts_with(|c: char| c.is_ascii_digit()));
        let number = if has_number { Some(self.number(0, most, what)?) } else { None };
        if self.filter.steps.len() == MOST_STEPS {
            return Err(self.fault(Fault::TooLong("6 of vlan, vxlan, geneve and mpls")));
        }
        let node = self.test(Test::Step(number))?;
        self.filter.steps.push(step);
        Ok(node)
    }

    fn bytes(&mut self, test: impl Fn(usize) -> Test) -> Parsed<usize> {
        let bytes = self.number(0, u32::MAX, "number of bytes")?;
        self.test(test(bytes as usize))
    }

    fn number(&mut self, least: u32, most: u32, what: &'static str) -> Parsed<u32> {
        let token = self.need("a number")?;
        let number = token.text.parse().ok().filter(|number| (least..=most).contains(number));
        number.ok_or_else(|| token.fault(Fault::Not(token.text.into(), what)))
    }

    /// A protocol, a direction and a kind, as far as they are said, and what they are of.
    fn qualified(&mut self) -> Parsed<usize> {
        let begin = self.tokens[self.at];
        let mut said = Qualifiers { of: self.of(), ..Qualifiers::default() };
        if said.of == Some(Of::Ether) && self.take(&["broadcast"]) {
            return self.test(Test::Broadcast);
        }
        if said.of == Some(Of::Ether) && self.take(&["multicast"]) {
            return self.test(Test::Multicast);
        }
        said.direction = self.direction();
        said.kind = self.kind();
        if said.direction.is_none() && said.kind.is_none() {
            if let Some(of) = said.of {
                return self.alone(of, begin);
            }
            // as the one before: `host A or B`
            if !begin.text.starts_with(|c: char| c.is_ascii_hexdigit() || c == ':') {
                return Err(begin.fault(Fault::Unknown(begin.text.into())));
            }
            return self.value(self.last);
        }
        if self.peek().is_none() {
            return Err(self.fault(Fault::Missing("an address or a number")));
        }
        self.last = said;
        self.value(said)
    }

    fn of(&mut self) -> Option<Of> {
        let of = match self.peek()? {
            "ether" => Of::Ether,
            "ip" => Of::Ip,
            "ip6" => Of::Ip6,
            "arp" => Of::Arp,
            "rarp" => Of::Rarp,
            "tcp" => Of::Tcp,
            "udp" => Of::Udp,
            "sctp" => Of::Sctp,
            "icmp" => Of::Icmp,
            "icmp6" => Of::Icmp6,
            _ => return None,
        };
        self.at += 1;
        Some(of)
    }

    fn direction(&mut self) -> Option<Direction> {
        let words: Vec<&str> = self.tokens[self.at..].iter().take(3).map(|token| token.text).collect();
        let (direction, taken) = match words[..] {
            ["src", "or" | "||", "dst"] | ["dst", "or" | "||", "src"] => (Direction::Either, 3),
            ["src", "and" | "&&", "dst"] | ["dst", "and" | "&&", "src"] => (Direction::Both, 3),
            ["src", ..] => (Direction::Source, 1),
            ["dst", ..] => (Direction::Destination, 1),
            _ => return None,
        };
        self.at += taken;
        Some(direction)
    }

    fn kind(&mut self) -> Option<Kind> {
        let kind = match self.peek()? {
            "host" => Kind::Host,
            "net" => Kind::Net,
            "port" => Kind::Port,
            "portrange" => Kind::PortRange,
            "proto" => Kind::Proto,
            _ => return None,
        };
        self.at += 1;
        Some(kind)
    }

    /// A protocol that stands for itself.
    fn alone(&mut self, of: Of, begin: Token) -> Parsed<usize> {
        let protocol = |of, number| Test::Protocol { of, number };
        self.test(match of {
            Of::Ether => return Err(begin.fault(Fault::Missing("ether host, src or dst"))),
            Of::Ip => Test::Ethertype(IPV4),
            Of::Ip6 => Test::Ethertype(IPV6),
            Of::Arp => Test::Ethertype(ARP),
            Of::Rarp => Test::Ethertype(RARP),
            Of::Tcp => protocol(Versions::Both, TCP),
            Of::Udp => protocol(Versions::Both, UDP),
            Of::Sctp => protocol(Versions::Both, SCTP),
            Of::Icmp => protocol(Versions::V4, ICMP),
            Of::Icmp6 => protocol(Versions::V6, ICMPV6),
        })
    }

    fn value(&mut self, said: Qualifiers) -> Parsed<usize> {
        let token = self.need("an address or a number")?;
        let direction = said.direction.unwrap_or(Direction::Either);
        match (said.kind.unwrap_or(Kind::Host), said.of) {
            (Kind::Host, Some(Of::Ether)) => {
                let mac = Mac::from_str(token.text);
                let mac = mac.map_err(|_| token.fault(Fault::Not(token.text.into(), "MAC address")))?;
                self.test(Test::Mac(direction, mac.0))
            }
            (Kind::Host, of) => {
                let wrong = || token.fault(Fault::Not(token.text.into(), "IP address (names are not looked up)"));
                let address: IpAddr = token.text.parse().map_err(|_| wrong())?;
                self.net(token, (address, if address.is_ipv4() { 32 } else { 128 }), direction, of)
            }
            (Kind::Net, of) => {
                let net = read_net(token)?;
                self.net(token, net, direction, of)
            }
            (Kind::Port | Kind::PortRange, of) => self.ports(token, said.kind == Some(Kind::Port), direction, of),
            (Kind::Proto, of) => self.proto(token, of),
        }
    }

    fn net(&mut self, token: Token, (address, length): (IpAddr, u8), of: Direction, said: Option<Of>) -> Parsed<usize> {
        let (ip, arp, rarp, v6) = match said {
            None => (true, true, true, true),
            Some(Of::Ip) => (true, false, false, false),
            Some(Of::Arp) => (false, true, false, false),
            Some(Of::Rarp) => (false, false, true, false),
            Some(Of::Ip6) => (false, false, false, true),
            Some(Of::Ether) => return Err(token.fault(Fault::Mismatch("ether", "net"))),
            Some(_) => return Err(token.fault(Fault::Mismatch("a transport protocol", "an address"))),
        };
        let test = match address {
            IpAddr::V4(address) if ip || arp || rarp => {
                let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
                Test::Net4 { of, address: address.to_bits(), mask, ip, arp, rarp }
            }
            IpAddr::V6(address) if v6 => {
                let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
                Test::Net6 { of, address: address.to_bits(), mask }
            }
            IpAddr::V4(_) => return Err(token.fault(Fault::Mismatch("ip6", "an IPv4 address"))),
            IpAddr::V6(_) => return Err(token.fault(Fault::Mismatch("ip or arp", "an IPv6 address"))),
        };
        let beyond = match test {
            Test::Net4 { address, mask, .. } => address & !mask != 0,
            Test::Net6 { address, mask, .. } => address & !mask != 0,
            _ => false,
        };
        if beyond {
            return Err(token.fault(Fault::HostBits(token.text.into())));
        }
        self.test(test)
    }

    fn ports(&mut self, token: Token, one: bool, of: Direction, said: Option<Of>) -> Parsed<usize> {
        let protocol = match said {
            None => None,
            Some(Of::Tcp) => Some(TCP),
            Some(Of::Udp) => Some(UDP),
            Some(Of::Sctp) => Some(SCTP),
            Some(_) => return Err(token.fault(Fault::Mismatch("this protocol", "a port"))),
        };
        let what = if one { "port (0 to 65535)" } else { "range of ports (8000-8099)" };
        let not = || token.fault(Fault::Not(token.text.into(), what));
        let (first, last) = match token.text.split_once('-') {
            Some(range) if !one => range,
            None => (token.text, token.text),
            Some(_) => return Err(not()),
        };
        let read = |text: &str| text.parse::<u16>().map_err(|_| not());
        let (first, last) = (read(first)?, read(last)?);
        if first > last {
            return Err(token.fault(Fault::Turned));
        }
        self.test(Test::Ports { of, first, last, protocol })
    }

    fn proto(&mut self, token: Token, said: Option<Of>) -> Parsed<usize> {
        let number = match token.text {
            "tcp" => Some(TCP),
            "udp" => Some(UDP),
            "sctp" => Some(SCTP),
            "icmp" => Some(ICMP),
            "icmp6" => Some(ICMPV6),
            "gre" => Some(GRE),
            number => number.parse().ok(),
        };
        let number = number.ok_or_else(|| token.fault(Fault::Not(token.text.into(), "protocol (0 to 255)")))?;
        let protocol = |of| Test::Protocol { of, number };
        match said {
            None => self.test(protocol(Versions::Both)),
            Some(Of::Ip) => self.test(protocol(Versions::V4)),
            Some(Of::Ip6) => self.test(protocol(Versions::V6)),
            Some(_) => Err(token.fault(Fault::Mismatch("this protocol", "proto"))),
        }
    }
}

impl Token<'_> {
    fn fault(&self, fault: Fault) -> FilterError {
        FilterError { column: self.column, fault }
    }
}

/// `10.1.0.0/16`; of IPv4 also `10.1`, which is the same.
fn read_net(token: Token) -> Parsed<(IpAddr, u8)> {
    let not = || token.fault(Fault::Not(token.text.into(), "prefix (10.1.0.0/16)"));
    let (address, length) = match token.text.split_once('/') {
        Some((address, length)) => (address, Some(length.parse::<u8>().map_err(|_| not())?)),
        None => (token.text, None),
    };
    if let Ok(address) = address.parse::<IpAddr>() {
        let most = if address.is_ipv4() { 32 } else { 128 };
        let length = length.unwrap_or(most);
        return if length <= most { Ok((address, length)) } else { Err(not()) };
    }
    let parts: Vec<u8> = address.split('.').map(|part| part.parse().map_err(|_| not())).collect::<Result<_, _>>()?;
    if parts.len() > 3 {
        return Err(not());
    }
    let mut octets = [0; 4];
    octets[..parts.len()].copy_from_slice(&parts);
    let length = length.unwrap_or(parts.len() as u8 * 8);
    if length <= 32 { Ok((Ipv4Addr::from(octets).into(), length)) } else { Err(not()) }
}
