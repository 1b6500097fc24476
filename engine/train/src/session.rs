//! From a request to a checked plan: what `train`, `evaluate`, `check` and `show` have in common.

use std::cell::{Ref, RefCell, RefMut};
use std::fmt;

use mmar_config::{Diagnostics, Plan, Request};
use mmar_loader::Registry;

use crate::catalog::RegistryCatalog;
use crate::{Failure, RunRequest};

/// A config that was read, resolved and checked against the components there are.
pub struct Session {
    plan: Plan,
    registry: RefCell<Registry>,
}

impl Session {
    /// Reads the config, opens the archive's plugins as far as the config names them, and checks every component and
    /// argument. All errors are in the failure at once; see [`Failure::diagnostics`].
    pub fn open(request: &RunRequest) -> Result<Self, Failure> {
        let registry = RefCell::new(Registry::open(&request.mmar_root));
        let config = Request {
            mmar_root: request.mmar_root.clone(),
            config: request.config.clone(),
            environment: request.environment.clone(),
            overrides: request.overrides.clone(),
        };
        let plan = mmar_config::load_checked(&config, &RegistryCatalog::new(&registry)).map_err(Failure::config)?;
        Ok(Self { plan, registry })
    }

    /// The resolved config; `plan().warnings` is what is odd in it but no error.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Checks the config once more against the components there are by now.
    pub(crate) fn check(&self) -> Diagnostics {
        mmar_config::check(&self.plan, &RegistryCatalog::new(&self.registry))
    }

    /// The components there are.
    pub fn registry(&self) -> Ref<'_, Registry> {
        self.registry.borrow()
    }

    /// The components there are, to look one up.
    pub fn registry_mut(&self) -> RefMut<'_, Registry> {
        self.registry.borrow_mut()
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("config", &self.plan.config_file).finish_non_exhaustive()
    }
}
