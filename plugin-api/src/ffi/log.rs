//! A plugin's `tracing` events, brought to the host's `tracing`.
//!
//! The plugin has a copy of `tracing` of its own, without a subscriber: its events would vanish. [`forward_to`] installs
//! one that sends each to the host, where [`receive`] emits it again with the same level, target and fields.

use std::collections::HashMap;
use std::fmt;
use std::sync::{LazyLock, Mutex, OnceLock, PoisonError};

use serde_json::{Map, Value as Json};
use tracing::callsite::{Callsite, Identifier};
use tracing::field::{Field, FieldSet, Value, Visit};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber, dispatcher, metadata, span};

use super::types::HostApiRef;

/// How many fields of an event keep their names; what is beyond goes into the message.
const MAX_FIELDS: usize = 15;

// --- the plugin's side ---

/// Sends every event of this image to the host. Where the image has a subscriber already (a plugin linked into the
/// host), that one stays.
pub(crate) fn forward_to(host: HostApiRef) {
    let _ = dispatcher::set_global_default(dispatcher::Dispatch::new(Forward(host)));
}

struct Forward(HostApiRef);

impl Subscriber for Forward {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        // the host's filter may change while the plugin lives
        Interest::sometimes()
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && self.0.log_enabled()(number_of(*metadata.level()), metadata.target().into())
    }

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let json = Json::Object(fields.map).to_string();
        let metadata = event.metadata();
        let log = self.0.log();
        log(
            number_of(*metadata.level()),
            metadata.target().into(),
            fields.message.as_str().into(),
            json.as_str().into(),
        );
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        // spans are never enabled
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

#[derive(Default)]
struct Fields {
    message: String,
    map: Map<String, Json>,
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}");
        } else {
            self.map.insert(field.name().to_owned(), format!("{value:?}").into());
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            value.clone_into(&mut self.message);
        } else {
            self.map.insert(field.name().to_owned(), value.into());
        }
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        // JSON has no NaN
        let value = if value.is_finite() { value.into() } else { value.to_string().into() };
        self.map.insert(field.name().to_owned(), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.map.insert(field.name().to_owned(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.map.insert(field.name().to_owned(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.map.insert(field.name().to_owned(), value.into());
    }
}

fn number_of(level: Level) -> u32 {
    match level {
        Level::ERROR => 1,
        Level::WARN => 2,
        Level::INFO => 3,
        Level::DEBUG => 4,
        Level::TRACE => 5,
    }
}

// --- the host's side ---

/// Whether the host's subscriber wants events of this level and target.
pub(crate) fn is_enabled(level: u32, target: &str) -> bool {
    let site = Site::of(level, target, Vec::new());
    dispatcher::get_default(|dispatch| dispatch.enabled(site.metadata()))
}

/// Emits a plugin's event in the host.
pub(crate) fn receive(level: u32, target: &str, message: &str, fields: &str) {
    let fields: Map<String, Json> = serde_json::from_str(fields).unwrap_or_default();
    let (named, rest): (Vec<_>, Vec<_>) = fields.into_iter().enumerate().partition(|(i, _)| *i < MAX_FIELDS);
    let named: Vec<(String, Json)> = named.into_iter().map(|(_, field)| field).collect();
    let mut message = message.to_owned();
    for (_, (name, value)) in rest {
        message = format!("{message} {name}={value}");
    }
    let site = Site::of(level, target, named.iter().map(|(name, _)| name.clone()).collect());
    let metadata = site.metadata();
    let values: Vec<Box<dyn Value>> = named.into_iter().map(|(_, value)| value_of(value)).collect();
    dispatcher::get_default(|dispatch| {
        // `enabled` goes before every event: filters of single layers keep notes between the two
        if dispatch.enabled(metadata) {
            site.emit(dispatch, &message, &values);
        }
    });
}

fn value_of(value: Json) -> Box<dyn Value> {
    match value {
        Json::Bool(value) => Box::new(value),
        Json::String(value) => Box::new(value),
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(value), _) => Box::new(value),
            (None, Some(value)) => Box::new(value),
            (None, None) => Box::new(number.as_f64().unwrap_or(f64::NAN)),
        },
        other => Box::new(other.to_string()),
    }
}

/// A place in a plugin that logs. `tracing` wants its metadata for ever, so each combination of level, target and field
/// names is made once and kept: as many as the plugins' sources have.
struct Site(OnceLock<Metadata<'static>>);

type SiteKey = (u32, String, Vec<String>);

impl Site {
    fn of(level: u32, target: &str, fields: Vec<String>) -> &'static Self {
        static SITES: LazyLock<Mutex<HashMap<SiteKey, &'static Site>>> = LazyLock::new(Mutex::default);
        let mut sites = SITES.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (level, target.to_owned(), fields);
        if let Some(site) = sites.get(&key) {
            return site;
        }
        let names: Vec<&'static str> =
            std::iter::once("message").chain(key.2.iter().map(|name| &*name.clone().leak())).collect();
        let target: &'static str = target.to_owned().leak();
        let level = [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG];
        let level = level.get((key.0 as usize).saturating_sub(1)).copied().unwrap_or(Level::TRACE);
        let site: &'static Self = Box::leak(Box::new(Self(OnceLock::new())));
        // the metadata names its callsite, so the callsite is at its final place before the metadata is made
        let fields = FieldSet::new(names.leak(), Identifier(site));
        let kind = metadata::Kind::EVENT;
        site.0.get_or_init(|| Metadata::new("plugin event", target, level, None, None, Some(target), fields, kind));
        sites.insert(key, site);
        site
    }

    fn metadata(&self) -> &Metadata<'static> {
        self.0.get().expect("`of` sets it")
    }

    fn emit(&'static self, dispatch: &dispatcher::Dispatch, message: &str, values: &[Box<dyn Value>]) {
        let metadata = self.metadata();
        let names: Vec<Field> = metadata.fields().iter().collect();
        let Some(first) = names.first() else { return };
        // a value set wants an array; what is not used is a second, empty message
        let mut entries: [(&Field, Option<&dyn Value>); MAX_FIELDS + 1] = [(first, None); MAX_FIELDS + 1];
        entries[0] = (first, Some(&message));
        for (entry, (field, value)) in entries[1..].iter_mut().zip(names[1..].iter().zip(values)) {
            *entry = (field, Some(&**value));
        }
        dispatch.event(&Event::new(metadata, &metadata.fields().value_set(&entries)));
    }
}

impl Callsite for Site {
    fn set_interest(&self, _: Interest) {}

    fn metadata(&self) -> &Metadata<'_> {
        self.0.get().expect("`of` sets it")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex, PoisonError};

    use tracing::field::{Field, Visit};
    use tracing::{Event, Metadata, Subscriber, span};

    use super::{is_enabled, receive};

    type Lines = Arc<Mutex<Vec<String>>>;

    struct Keep(Lines);

    struct Line(String);

    impl Visit for Line {
        fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
            self.0 = format!("{} {field}={value:?}", self.0);
        }
    }

    impl Subscriber for Keep {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            *metadata.level() <= tracing::Level::INFO && metadata.target() != "quiet"
        }

        fn event(&self, event: &Event<'_>) {
            let mut line = Line(format!("{} {}", event.metadata().level(), event.metadata().target()));
            event.record(&mut line);
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(line.0);
        }

        fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
            span::Id::from_u64(1)
        }

        fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

        fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

        fn enter(&self, _: &span::Id) {}

        fn exit(&self, _: &span::Id) {}
    }

    #[test]
    fn an_event_arrives_with_level_target_and_typed_fields() {
        let lines = Lines::default();
        tracing::subscriber::with_default(Keep(Arc::clone(&lines)), || {
            receive(2, "myLoss", "all zeros", r#"{"step": 3, "loss": 0.5, "why": "no label"}"#);
            receive(4, "myLoss", "too fine", "{}");
            receive(3, "quiet", "unwanted", "{}");
            assert!(is_enabled(1, "myLoss") && !is_enabled(5, "myLoss") && !is_enabled(1, "quiet"));
            let many: Vec<String> = (0..20).map(|i| format!("\"f{i:02}\": {i}")).collect();
            receive(3, "wide", "many", &format!("{{{}}}", many.join(",")));
        });
        let lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
        assert_eq!(lines[0], r#"WARN myLoss message="all zeros" step=3 loss=0.5 why="no label""#);
        assert_eq!(lines.len(), 2);
        assert!(lines[1].contains("f00=0") && lines[1].contains("f19=19"), "{}", lines[1]);
    }
}
