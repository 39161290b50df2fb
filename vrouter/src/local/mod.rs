//! Answers to ARP, ND and ICMP, and the neighbour table: pure, `now` is an argument.
