//! The files of a network's folder, and their columns.

/// The file that is not a table: names, zone, currency, languages, defaults.
pub const NETWORK: &str = "network.toml";
/// The bus models.
pub const MODELS: &str = "models.toml";

/// A table of the folder.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    /// The file.
    pub file: &'static str,
    /// Columns whose cells are filled.
    pub required: &'static [&'static str],
    /// Columns that may be missing, and cells that may be empty.
    pub optional: &'static [&'static str],
    /// Whether `name` has translations: `name.ja`.
    pub has_names: bool,
    /// Whether the file may be missing.
    pub is_optional: bool,
}

const REQUIRED: Table =
    Table { file: "", required: &[], optional: &[], has_names: false, is_optional: false };

/// `stops.csv`
pub const STOPS: Table = Table {
    file: "stops.csv",
    required: &["code", "name"],
    optional: &["latitude", "longitude", "zone"],
    has_names: true,
    ..REQUIRED
};
/// `drivers.csv`
pub const DRIVERS: Table = Table {
    file: "drivers.csv",
    required: &["code", "name"],
    optional: &["phone"],
    is_optional: true,
    ..REQUIRED
};
/// `buses.csv`
pub const BUSES: Table =
    Table { file: "buses.csv", required: &["number", "model"], optional: &["plate", "driver"], ..REQUIRED };
/// `routes.csv`
pub const ROUTES: Table = Table {
    file: "routes.csv",
    required: &["code", "name"],
    optional: &["description", "hold_secs", "cut_off_secs", "refund_secs", "refund_percent"],
    has_names: true,
    ..REQUIRED
};
/// `directions.csv`
pub const DIRECTIONS: Table =
    Table { file: "directions.csv", required: &["route", "direction", "name"], has_names: true, ..REQUIRED };
/// `direction_stops.csv`
pub const DIRECTION_STOPS: Table =
    Table { file: "direction_stops.csv", required: &["route", "direction", "position", "stop"], ..REQUIRED };
/// `calendars.csv`
pub const CALENDARS: Table =
    Table { file: "calendars.csv", required: &["code"], optional: &["days", "from", "until"], ..REQUIRED };
/// `calendar_dates.csv`
pub const CALENDAR_DATES: Table = Table {
    file: "calendar_dates.csv",
    required: &["calendar", "date", "runs"],
    is_optional: true,
    ..REQUIRED
};
/// `departures.csv`
pub const DEPARTURES: Table = Table {
    file: "departures.csv",
    required: &["code", "route", "direction", "bus", "calendar", "departs", "legs"],
    optional: &["dwells", "zone"],
    ..REQUIRED
};
/// `fares.csv`
pub const FARES: Table = Table {
    file: "fares.csv",
    required: &["route", "class", "amount"],
    optional: &["direction", "from", "until"],
    ..REQUIRED
};

/// All tables, in the order in which they are read.
pub const TABLES: [Table; 10] = [
    STOPS,
    DRIVERS,
    BUSES,
    ROUTES,
    DIRECTIONS,
    DIRECTION_STOPS,
    CALENDARS,
    CALENDAR_DATES,
    DEPARTURES,
    FARES,
];

/// The names of all files.
pub fn files() -> impl Iterator<Item = &'static str> {
    [NETWORK, MODELS].into_iter().chain(TABLES.iter().map(|table| table.file))
}
