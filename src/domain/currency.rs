//! Currencies of ISO 4217, and the one that this installation has its amounts in.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};
use std::{
    borrow::Cow,
    fmt,
    str::FromStr,
    sync::atomic::{AtomicU32, Ordering},
};

/// The largest amount that comes in, in the currency's minor units: a thousandth of what the database
/// holds, so that sums and products fit too.
pub const MAX_MINOR: i64 = 100_000_000_000;

/// The codes of ISO 4217's list one (six.org, January 2026) by their minor units. Funds, metals
/// and codes for tests are left out; no fare is in them.
const BY_DECIMALS: [(u8, &str); 3] = [
    (0, "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF"),
    (
        2,
        "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF \
         CNY COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL \
         HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT \
         MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB \
         SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH \
         USD UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG",
    ),
    (3, "BHD IQD JOD KWD LYD OMR TND"),
];

/// The currency of the database that this process works on. It is one for the process, because an
/// amount is read and written where no context is at hand: in `FromStr`, `Display` and serde. A
/// process has one database.
static INSTALLED: AtomicU32 = AtomicU32::new(Currency::OF_NO_NETWORK.packed());

/// A currency of ISO 4217.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency {
    code: [u8; 3],
    decimals: u8,
}

impl Currency {
    /// The currency of a database without a network.
    pub const OF_NO_NETWORK: Self = Self { code: *b"CNY", decimals: 2 };

    /// The three capitals.
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.code).unwrap_or("XXX")
    }

    /// How many decimals an amount has: 0, 2 or 3.
    pub fn decimals(self) -> u8 {
        self.decimals
    }

    /// The currency of all amounts that this process reads and writes.
    pub fn installed() -> Self {
        let [a, b, c, decimals] = INSTALLED.load(Ordering::Relaxed).to_be_bytes();
        Self { code: [a, b, c], decimals }
    }

    /// Makes this the currency of the process. Amounts in memory stay what they are in minor units,
    /// so this is only right while the database has no money.
    pub fn install(self) {
        INSTALLED.store(self.packed(), Ordering::Relaxed);
    }

    /// Both parts in one word, so that a reader never sees the parts of two currencies.
    const fn packed(self) -> u32 {
        let [a, b, c] = self.code;
        u32::from_be_bytes([a, b, c, self.decimals])
    }
}

impl FromStr for Currency {
    /// The rule that the text breaks.
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let of = |(decimals, codes): (u8, &str)| {
            let code = codes.split(' ').find(|code| *code == text)?.as_bytes().try_into().ok()?;
            Some(Self { code, decimals })
        };
        let found = BY_DECIMALS.into_iter().find_map(of);
        found.ok_or_else(|| "a currency's code of ISO 4217 in capitals, like EUR".to_owned())
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

impl JsonSchema for Currency {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Currency".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "The currency of the amounts, by ISO 4217. It is one for the installation and decides the decimals: none, two or three.",
            "pattern": "^[A-Z]{3}$",
            "examples": ["CNY"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_in_the_list_once_and_no_other_is_a_currency() {
        let codes: Vec<&str> = BY_DECIMALS.iter().flat_map(|(_, codes)| codes.split(' ')).collect();
        let distinct: std::collections::BTreeSet<_> = codes.iter().collect();
        assert_eq!((codes.len(), codes.iter().all(|code| code.len() == 3)), (distinct.len(), true));
        for text in ["eur", "XXX", "CLF", "", "EURO", "E R"] {
            assert!(text.parse::<Currency>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_process_begins_with_the_currency_of_no_network() {
        assert_eq!(Ok(Currency::OF_NO_NETWORK), "CNY".parse());
        assert_eq!(Currency::installed(), Currency::OF_NO_NETWORK);
        assert_eq!(serde_json::to_value(Currency::installed()).ok(), Some("CNY".into()));
    }
}
