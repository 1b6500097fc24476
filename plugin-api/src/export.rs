//! [`export_plugin!`](crate::export_plugin): what turns a crate into a plugin.

/// Makes a plugin of the crate. Called once, at the root of a `cdylib`.
///
/// `module` is the name under which configs find the plugin: with `module: "myLoss"` a config says
/// `"path": "BYOC.myLoss.MyDiceLoss"`. The lists are those of [`register!`](crate::register): the name in a config is the
/// type's name, or the one given; other names follow after `|`.
///
/// ```
/// # use byoc::{Component, Loss, Result};
/// # use schemars::JsonSchema;
/// # use serde::Deserialize;
/// # use tch::{Kind, Tensor};
/// /// Mean of |input - target|.
/// #[derive(Deserialize, JsonSchema)]
/// #[serde(deny_unknown_fields)]
/// struct MyLossArgs {}
///
/// struct MyLoss;
///
/// impl Component for MyLoss {
///     type Args = MyLossArgs;
///
///     fn new(_: MyLossArgs) -> Result<Self> {
///         Ok(Self)
///     }
/// }
///
/// impl Loss for MyLoss {
///     fn forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
///         Ok(input.f_sub(target)?.f_abs()?.f_mean(Kind::Float)?)
///     }
/// }
///
/// byoc::export_plugin! {
///     module: "myModule",
///     losses: [MyLoss = "MyLoss" | "MeanAbsoluteLoss"],
/// }
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! export_plugin {
    (module: $module:literal $(, $list:ident: [$($component:ident $(= $name:literal $(| $alias:literal)*)?),* $(,)?])* $(,)?) => {
        #[cfg(panic = "abort")]
        ::std::compile_error!(
            "a plugin must be built with `panic = \"unwind\"`: the engine catches a component's panic and reports it, an abort ends the run"
        );

        /// The plugin as a test sees it that links this crate instead of opening a library.
        #[doc(hidden)]
        pub static BYOC_PLUGIN: $crate::__private::StaticPlugin = {
            struct Plugin;

            impl $crate::__private::Plugin for Plugin {
                const COMPONENTS: &'static [$crate::Registration] =
                    &[$($($crate::__named_registration!($list $component $(= $name $(| $alias)*)?),)*)*];
            }

            #[used]
            #[unsafe(link_section = ".byoc_plugin")]
            static HEADER: $crate::__private::HeaderBytes =
                $crate::__private::HeaderBytes::new(&$crate::__private::PluginFacts {
                    module: $module,
                    name: ::std::env!("CARGO_PKG_NAME"),
                    version: ::std::env!("CARGO_PKG_VERSION"),
                    license: ::std::env!("CARGO_PKG_LICENSE"),
                    repository: ::std::env!("CARGO_PKG_REPOSITORY"),
                    components: <Plugin as $crate::__private::Plugin>::COMPONENTS.len(),
                    debug: ::std::cfg!(debug_assertions),
                    unwinds: ::std::cfg!(panic = "unwind"),
                });

            #[unsafe(export_name = ::std::concat!("byoc_plugin_", $module))]
            static LIBRARY: $crate::__private::Library = $crate::__private::Library::of::<Plugin>();

            $crate::__private::StaticPlugin { header: &HEADER, library: &LIBRARY }
        };
    };
}

/// As [`__registration!`](crate::__registration), with the name and aliases as a list spells them.
#[doc(hidden)]
#[macro_export]
macro_rules! __named_registration {
    ($list:ident $component:ident) => {
        $crate::__registration!($list $component, ::std::stringify!($component), &[])
    };
    ($list:ident $component:ident = $name:literal $(| $alias:literal)*) => {
        $crate::__registration!($list $component, $name, &[$($alias),*])
    };
}
