//! The component `{{component}}`, a {{kind}} for mmar.

mod {{kind}};

pub use {{kind}}::{{component}};

byoc::export_plugin! {
    module: "{{crate_name}}",
    {% case kind %}{% when "loss" %}losses{% when "network" %}networks{% when "metric" %}metrics{% when "transform" %}transforms{% else %}handlers{% endcase %}: [{{component}}],
}
