//! What a box is called on its network: the names and addresses that its server certificate vouches for.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use dais_protocol::Id;
use rcgen::{CidrSubnet, GeneralSubtree};

/// A machine with containers may have dozens; a certificate of more than this is refused by nobody, and read by nobody.
const MAX_ADDRESSES: usize = 64;

/// The networks that nobody owns, and so the only ones that a box may vouch for an address in: RFC 1918, RFC 6598 (as
/// overlay networks use), RFC 3927, RFC 4193, and the machine itself.
const PRIVATE: [(IpAddr, u8); 7] = [
    (v4(127, 0, 0, 0), 8),
    (v4(10, 0, 0, 0), 8),
    (v4(172, 16, 0, 0), 12),
    (v4(192, 168, 0, 0), 16),
    (v4(100, 64, 0, 0), 10),
    (v4(169, 254, 0, 0), 16),
    (IpAddr::V6(Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0)), 7),
];

const fn v4(a: u8, b: u8, c: u8, d: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(a, b, c, d))
}

/// What a certificate names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    pub hosts: Vec<String>,
    pub addresses: Vec<IpAddr>,
}

impl Names {
    /// Those of this machine, now.
    pub fn of_this_machine(box_id: &Id) -> Self {
        let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
        let addresses = interfaces.iter().map(|interface| interface.ip());
        Self::of(box_id, &machine_name(), addresses)
    }

    fn of(box_id: &Id, machine: &str, addresses: impl Iterator<Item = IpAddr>) -> Self {
        let mut hosts = vec![format!("{box_id}.local"), "localhost".to_owned()];
        let machine = machine.trim_end_matches('.').to_ascii_lowercase();
        if is_host_name(&machine) {
            let label = machine.split('.').next().unwrap_or(&machine);
            hosts.push(format!("{label}.local"));
            hosts.push(machine);
        }
        let loopback = [
            IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(Ipv6Addr::LOCALHOST),
        ];
        let mut addresses: Vec<IpAddr> = addresses
            .filter(|ip| is_private(*ip))
            .chain(loopback)
            .collect();
        hosts.sort();
        hosts.dedup();
        addresses.sort();
        addresses.dedup();
        addresses.truncate(MAX_ADDRESSES);
        Self { hosts, addresses }
    }

    /// Whether a certificate of `self` is good for `other` too.
    pub fn cover(&self, other: &Self) -> bool {
        other.hosts.iter().all(|host| self.hosts.contains(host))
            && other.addresses.iter().all(|ip| self.addresses.contains(ip))
    }

    /// Without the names that an authority must not vouch for: with one of those a whole certificate is refused.
    pub fn within(mut self, permitted: &[String]) -> Self {
        self.hosts.retain(|host| {
            permitted
                .iter()
                .any(|zone| host == zone || host.ends_with(&format!(".{zone}")))
        });
        self
    }
}

/// What the authority of a box may ever vouch for: `.local`, the names that the box has when the authority is made, and
/// private addresses.
pub fn permitted(names: &Names) -> Vec<GeneralSubtree> {
    let mut zones = vec!["local".to_owned()];
    let others = names.hosts.iter().filter(|host| !host.ends_with(".local"));
    zones.extend(others.cloned());
    let hosts = zones.into_iter().map(GeneralSubtree::DnsName);
    let networks = PRIVATE
        .iter()
        .map(|(network, prefix)| (*network, *prefix))
        .chain([(IpAddr::V6(Ipv6Addr::LOCALHOST), 128)])
        .map(|(network, prefix)| {
            GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(network, prefix))
        });
    hosts.chain(networks).collect()
}

pub fn is_private(ip: IpAddr) -> bool {
    let bits = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => (u128::from(u32::from(ip)) << 96, true),
        IpAddr::V6(ip) => (u128::from(ip), false),
    };
    let (own, own_is_v4) = bits(ip);
    ip.is_loopback()
        || PRIVATE.iter().any(|(network, prefix)| {
            let (network, is_v4) = bits(*network);
            is_v4 == own_is_v4 && (own ^ network) >> (128 - u32::from(*prefix)) == 0
        })
}

fn machine_name() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}

/// RFC 1123: letters, digits and hyphens between dots. Any other name cannot stand in a certificate.
fn is_host_name(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let digits_only = name.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    name.len() <= 253 && name.split('.').all(is_label) && !digits_only
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn names(machine: &str, addresses: &[&str]) -> Names {
        let addresses = addresses.iter().map(|ip| ip.parse().unwrap());
        Names::of(&"studio-a".parse().unwrap(), machine, addresses)
    }

    #[test]
    fn a_box_is_called_by_its_id_its_machine_and_its_addresses() {
        let all = names("Rack7.example.", &["192.168.1.5", "fd00::5"]);
        for host in [
            "studio-a.local",
            "localhost",
            "rack7.local",
            "rack7.example",
        ] {
            assert!(all.hosts.iter().any(|h| h == host), "{host} in {all:?}");
        }
        for ip in ["192.168.1.5", "fd00::5", "127.0.0.1", "::1"] {
            assert!(all.addresses.contains(&ip.parse().unwrap()), "{ip}");
        }
    }

    #[test]
    fn an_address_that_others_own_is_not_vouched_for() {
        let all = names("box", &["8.8.8.8", "2001:db8::1", "172.32.0.1", "fe80::1"]);
        assert_eq!(all.addresses.len(), 2, "only loopback in {all:?}");
    }

    #[test]
    fn a_machine_without_a_proper_name_has_none() {
        for odd in ["", "my box", "-x", "10.0.0.1", "a..b", "(none)"] {
            assert_eq!(names(odd, &[]).hosts.len(), 2, "{odd}");
        }
    }

    #[test]
    fn a_new_address_needs_a_new_certificate_and_a_lost_one_does_not() {
        let before = names("box", &["10.0.0.2", "10.0.0.3"]);
        assert!(before.cover(&names("box", &["10.0.0.3"])));
        assert!(!before.cover(&names("box", &["10.0.0.4"])));
        assert!(!before.cover(&names("rack", &["10.0.0.2"])));
    }
}
