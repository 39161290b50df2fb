//! A fabric port shared with the host's kernel: the kernel answers for the VIF's addresses, and we learn from what it is asked and told.

use super::Oracle;
use super::choice::Free;
use super::config::Vif;
use super::headers::{self, Reason};

impl Oracle {
    /// The fabric VIF whose exception port this is.
    pub(super) fn shared_by(&self, port: usize) -> Option<Vif> {
        self.config.vifs.values().find(|vif| vif.exception == Some(port)).cloned()
    }

    /// A frame of the kernel's leaves as it is, if the link may take it for one of ours.
    pub(super) fn kernel_sent(&mut self, vif: &Vif, frame: &[u8]) -> Result<(), Reason> {
        let ether = headers::ether(frame)?;
        if ether.source != vif.mac {
            return Err("mac_spoofed");
        }
        if frame.len() - 14 > usize::from(vif.mtu) {
            return Err("mtu_exceeded");
        }
        self.feature(if vif.vlan.is_some() { "kernel_sent_tagged" } else { "kernel_sent" });
        self.send(vif.port, frame.to_vec(), Free::default(), None);
        Ok(())
    }

    /// A frame for us, without its tag, as the kernel has it. False: there is no kernel, and it is ours to answer.
    pub(super) fn kernel_takes(&mut self, vif: &Vif, frame: &[u8], feature: &'static str) -> bool {
        let Some(port) = vif.exception else { return false };
        self.feature(feature);
        self.send(port, frame.to_vec(), Free::default(), None);
        true
    }
}
