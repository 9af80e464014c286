//! Networks, as an administrator names them, and whether an address is in one.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net};

/// Bits in front of an IPv4 address that is written as one of IPv6 (RFC 4291 section 2.5.5.2).
const MAPPED_PREFIX: u8 = 96;

/// One network: `10.0.0.0/8`, `2001:db8::/32`, or a single address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network(IpNet);

impl Network {
    /// Whether the address is in it. An IPv4 address counts as such however it is written.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "'{text}' is no network; write one such as 192.0.2.0/24, 2001:db8::/32 or 192.0.2.7"
            )
        };
        let network: IpNet = match text.parse::<IpAddr>() {
            Ok(address) => address.into(),
            Err(_) => text.parse().map_err(|_| wrong())?,
        };
        let network = network.trunc();
        // ::ffff:10.0.0.0/104 is 10.0.0.0/8.
        let mapped = match network {
            IpNet::V6(six) => {
                six.addr().to_ipv4_mapped().zip(six.prefix_len().checked_sub(MAPPED_PREFIX))
            }
            IpNet::V4(_) => None,
        };
        match mapped {
            None => Ok(Self(network)),
            Some((address, length)) => {
                Ok(Self(Ipv4Net::new(address, length).map_err(|_| wrong())?.into()))
            }
        }
    }
}

/// Several networks, or none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Networks(Vec<Network>);

impl Networks {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the address is in one of them.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }

    /// Whether the address is in one of them, or there is none to be in. An address that is not
    /// known is in no network.
    pub fn admits(&self, address: Option<IpAddr>) -> bool {
        self.is_empty() || address.is_some_and(|address| self.contains(address))
    }

    /// As they are written.
    pub fn to_strings(&self) -> Vec<String> {
        self.0.iter().map(Network::to_string).collect()
    }
}

impl FromIterator<Network> for Networks {
    fn from_iter<T: IntoIterator<Item = Network>>(networks: T) -> Self {
        Self(networks.into_iter().collect())
    }
}

/// With a space between them.
impl fmt::Display for Networks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_strings().join(" "))
    }
}

impl FromStr for Networks {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.split_ascii_whitespace().map(Network::from_str).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_in_a_network_however_it_is_written() {
        for (network, shown, inside, outside) in [
            ("10.0.0.0/8", "10.0.0.0/8", "10.1.2.3", "11.0.0.0"),
            ("10.1.2.3/8", "10.0.0.0/8", "::ffff:10.255.0.1", "::ffff:11.0.0.1"),
            ("192.0.2.7", "192.0.2.7/32", "192.0.2.7", "192.0.2.8"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8", "10.1.2.3", "::1"),
            ("::ffff:192.0.2.7", "192.0.2.7/32", "::ffff:192.0.2.7", "192.0.2.6"),
            ("2001:db8::/32", "2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"),
            ("::1", "::1/128", "::1", "127.0.0.1"),
            ("::/0", "::/0", "2001:db8::1", "192.0.2.7"),
            ("0.0.0.0/0", "0.0.0.0/0", "192.0.2.7", "2001:db8::1"),
        ] {
            let network: Network = network.parse().unwrap();
            assert_eq!(network.to_string(), shown);
            assert!(network.contains(inside.parse().unwrap()), "{network} {inside}");
            assert!(!network.contains(outside.parse().unwrap()), "{network} {outside}");
        }
        for wrong in ["", "10.0.0.0/33", "10.0.0/8", "::/129", "example.com", "10.0.0.0/8,::1"] {
            assert!(wrong.parse::<Network>().unwrap_err().contains("192.0.2.0/24"), "{wrong}");
        }
    }

    #[test]
    fn no_network_admits_everybody_and_one_nobody_unknown() {
        let none = Networks::default();
        assert!(none.admits(None) && none.admits("::1".parse().ok()));
        let some: Networks = "10.0.0.0/8 ::1".parse().unwrap();
        assert_eq!(some.to_string(), "10.0.0.0/8 ::1/128");
        assert!(some.admits("::1".parse().ok()) && !some.admits("::2".parse().ok()));
        assert!(!some.admits(None));
    }
}
