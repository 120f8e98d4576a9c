//! The addresses a Gateway asks for.

use std::net::IpAddr;

use lasthop_api_model::{AddressType, Gateway};

use crate::problem::Problem;

/// The addresses to listen on, sorted; empty is all. An address without a value asks for any.
pub(super) fn requested(gateway: &Gateway) -> Result<Vec<IpAddr>, Problem> {
    for (index, address) in gateway.spec.addresses.iter().enumerate() {
        let value = address.value.as_deref().unwrap_or_default();
        if let Some(routability) = address.routability.as_deref().filter(|text| !text.is_empty()) {
            // An address that more can reach than was asked for is not what was asked for.
            return Err(Problem::new(
                "UnsupportedAddress",
                format!(
                    "spec.addresses[{index}]: routability {routability} is not supported; remove the field"
                ),
            ));
        }
        match address.r#type {
            AddressType::IpAddress if value.is_empty() => {}
            AddressType::IpAddress => {
                value.parse::<IpAddr>().map_err(|_| {
                    Problem::new(
                        "UnsupportedAddress",
                        format!(
                            "spec.addresses[{index}]: {value:?} is no IP address; write one such as 192.0.2.1"
                        ),
                    )
                })?;
            }
            ref other => {
                return Err(Problem::new(
                    "UnsupportedAddress",
                    format!("spec.addresses[{index}]: type {other} is not supported; use IPAddress"),
                ));
            }
        }
    }
    Ok(gateway.spec.ip_addresses())
}
