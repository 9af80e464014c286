//! Where requests to other servers may go, providers and receivers of webhooks: to public addresses, and
//! into networks that the operator allows.
//!
//! Who administers a connection says where its provider is, and the provider says where its
//! endpoints are; neither may have Muster knock at what only Muster can reach. A name is looked up
//! once and the connection goes to an address that was checked, so a name that leads elsewhere the
//! next time gains nothing.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use crate::access::network::Network;

/// IPv4 networks that are not of the public internet (IANA's registry of special-purpose addresses,
/// RFC 6890), and one address of a cloud that only its own machines have.
const NOT_PUBLIC: [&str; 17] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "168.63.129.16/32",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.31.196.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "192.175.48.0/24",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/3",
];
/// The part of IPv6 that is public, and the networks in it that are not.
const PUBLIC_V6: &str = "2000::/3";
const NOT_PUBLIC_V6: [&str; 4] = ["2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"];
/// Where IPv4 addresses are reached by IPv6 alone (RFC 6052 section 2.1).
const NAT64: &str = "64:ff9b::/96";

/// Whether the address is in a network that is written like this.
fn is_in(network: &str, address: IpAddr) -> bool {
    network.parse::<Network>().is_ok_and(|network| network.contains(address))
}

/// The address that is meant: an IPv4 address that is written as an IPv6 one is what it is.
fn meant(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) if is_in(NAT64, address.into()) => {
            let [.., a, b, c, d] = address.octets();
            Ipv4Addr::new(a, b, c, d).into()
        }
        address => address,
    }
}

/// Whether the address is of the public internet.
fn is_public(address: IpAddr) -> bool {
    let is_none_of = |networks: &[&str]| !networks.iter().any(|network| is_in(network, address));
    match address {
        IpAddr::V4(_) => is_none_of(&NOT_PUBLIC),
        IpAddr::V6(_) => is_in(PUBLIC_V6, address) && is_none_of(&NOT_PUBLIC_V6),
    }
}

/// Whether requests and browsers may be sent there: `https`, or `http` on this machine.
pub fn is_safe(url: &Url) -> bool {
    match url.scheme() {
        "https" => url.has_host(),
        "http" => is_loopback(url),
        _ => false,
    }
}

/// Whether the address is on this machine.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
        None => false,
    }
}

/// Looks up the addresses of a name.
pub type Lookup = Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> + Send + Sync>;

/// Where providers may be.
#[derive(Clone)]
pub struct Reach {
    networks: Vec<Network>,
    /// May hold a password.
    proxy: Option<Url>,
    lookup: Lookup,
}

impl fmt::Debug for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reach")
            .field("networks", &self.networks)
            .field("is_by_proxy", &self.proxy.is_some())
            .finish_non_exhaustive()
    }
}

impl Default for Reach {
    fn default() -> Self {
        Self { networks: Vec::new(), proxy: None, lookup: Arc::new(|name| Box::pin(ask(name))) }
    }
}

/// Asks the machine's resolver.
async fn ask(name: String) -> io::Result<Vec<IpAddr>> {
    Ok(tokio::net::lookup_host((name, 0)).await?.map(|found| found.ip()).collect())
}

impl Reach {
    /// Public addresses, and these networks.
    pub fn with(networks: Vec<Network>) -> Self {
        Self { networks, ..Self::default() }
    }

    /// By way of a proxy, if there is one, which then looks names up, and has to keep requests away
    /// from where they do not belong.
    #[must_use]
    pub fn by_proxy(self, proxy: Option<Url>) -> Self {
        Self { proxy, ..self }
    }

    /// With names looked up in another way than the machine's.
    #[must_use]
    pub fn looking_up(self, lookup: Lookup) -> Self {
        Self { lookup, ..self }
    }

    /// The proxy that requests go by way of.
    pub fn proxy(&self) -> Option<&Url> {
        self.proxy.as_ref()
    }

    /// Whether a provider may be at the address.
    pub fn allows(&self, address: IpAddr) -> bool {
        let address = meant(address);
        is_public(address) || self.networks.iter().any(|network| network.contains(address))
    }

    /// Whether a provider may name this address as one of its own: `https`, and not an address that
    /// is not allowed. What runs on this machine is for providers on this machine.
    pub fn may_name(&self, issuer: &str, url: &Url) -> bool {
        let is_local = || Url::parse(issuer).is_ok_and(|issuer| is_loopback(&issuer));
        let is_allowed = match url.host() {
            Some(Host::Ipv4(address)) => self.allows(address.into()),
            Some(Host::Ipv6(address)) => self.allows(address.into()),
            Some(Host::Domain(_)) => !is_loopback(url),
            None => false,
        };
        is_safe(url) && (is_allowed || (is_loopback(url) && is_local()))
    }
}

/// The name leads to addresses that are not allowed.
#[derive(Debug, thiserror::Error)]
#[error("the name leads to an address that is not public")]
pub struct NotAllowed;

impl Resolve for Reach {
    fn resolve(&self, name: Name) -> Resolving {
        let (reach, name) = (self.clone(), name.as_str().to_owned());
        Box::pin(async move {
            // Only providers on this machine come so far with this name.
            let is_here = name.eq_ignore_ascii_case("localhost");
            let found = (reach.lookup)(name).await?;
            let is_allowed = |address: &IpAddr| {
                if is_here { address.is_loopback() } else { reach.allows(*address) }
            };
            let (allowed, others): (Vec<IpAddr>, Vec<IpAddr>) =
                found.into_iter().partition(is_allowed);
            if allowed.is_empty() && !others.is_empty() {
                return Err(NotAllowed.into());
            }
            let allowed = allowed.into_iter().map(|address| SocketAddr::new(address, 0));
            Ok(Box::new(allowed) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(reach: &Reach, address: &str) -> bool {
        reach.allows(address.parse().expect("an address"))
    }

    #[test]
    fn only_public_addresses_are_allowed() {
        let reach = Reach::default();
        for good in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "169.253.255.255",
            "172.15.255.255",
            "172.32.0.0",
            "192.167.255.255",
            "223.255.255.255",
            "2606:4700:4700::1111",
            "2a00:1450::1",
            "::ffff:1.1.1.1",
            "64:ff9b::1.1.1.1",
        ] {
            assert!(allows(&reach, good), "{good}");
        }
        for bad in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "10.255.255.255",
            "100.64.0.1",
            "100.100.100.200",
            "127.0.0.1",
            "127.255.255.254",
            "168.63.129.16",
            "169.254.169.254",
            "169.254.170.2",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::10.0.0.1",
            "64:ff9b::169.254.169.254",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!allows(&reach, bad), "{bad}");
        }
    }

    #[test]
    fn every_network_of_the_lists_can_be_read() {
        for text in NOT_PUBLIC.iter().chain(&NOT_PUBLIC_V6).chain(&[PUBLIC_V6, NAT64]) {
            assert!(text.parse::<Network>().is_ok(), "{text}");
        }
    }

    #[test]
    fn a_network_that_is_allowed_is_allowed_alone() {
        let network = |text: &str| text.parse::<Network>().expect("a network");
        let reach = Reach::with(vec![network("10.1.0.0/16"), network("fd00:1::/32")]);
        for good in ["10.1.0.1", "10.1.255.255", "::ffff:10.1.2.3", "fd00:1::1", "1.1.1.1"] {
            assert!(allows(&reach, good), "{good}");
        }
        for bad in ["10.0.255.255", "10.2.0.0", "fd00:2::1", "127.0.0.1", "169.254.169.254"] {
            assert!(!allows(&reach, bad), "{bad}");
        }
        let all = Reach::with(vec![network("0.0.0.0/0"), network("::/0")]);
        assert!(allows(&all, "10.0.0.1") && allows(&all, "fe80::1"));
        let one = Reach::with(vec![network("192.168.1.7")]);
        assert!(allows(&one, "192.168.1.7") && !allows(&one, "192.168.1.8"));
    }

    #[test]
    fn a_provider_elsewhere_names_nothing_that_is_private() {
        let reach = Reach::default();
        let named = |issuer, url: &str| reach.may_name(issuer, &Url::parse(url).expect("a URL"));
        let far = "https://example.okta.com";
        assert!(named(far, "https://keys.example.com/keys"));
        assert!(named(far, "https://1.1.1.1/keys"));
        assert!(named("http://127.0.0.1:3000", "http://localhost:3000/keys"));
        assert!(named("http://localhost:3000", "https://keys.example.com/keys"));
        for url in [
            "http://127.0.0.1:6379/",
            "http://localhost/",
            "https://localhost/",
            "https://[::1]/",
            "https://127.1/",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://017700000001/",
            "https://[::ffff:127.0.0.1]/",
            "https://[::ffff:7f00:1]/",
            "https://10.0.0.1/",
            "https://169.254.169.254/latest/meta-data/",
            "https://[fd00:ec2::254]/",
            "https://0/",
            "http://keys.example.com/",
            "http://1.1.1.1/",
            "file:///etc/passwd",
            "gopher://127.0.0.1:6379/_x",
        ] {
            assert!(!named(far, url), "{url}");
        }
        for url in ["http://keys.example.com/", "https://10.0.0.1/", "http://169.254.169.254/"] {
            assert!(!named("http://127.0.0.1:3000", url), "{url}");
        }
    }
}
