//! How long the calls of each function of each component take.

use std::collections::VecDeque;
use std::time::Duration;

use byoc::host::Call;

/// From how many of its latest calls a function's usual duration is estimated.
const REMEMBERED: usize = 31;

/// How many times its usual duration a call may take.
const UNUSUAL: u32 = 20;

/// The functions that were called so far. There are a handful: each is found by looking at all.
#[derive(Debug, Default)]
pub(super) struct Statistics {
    sites: Vec<Site>,
}

#[derive(Debug)]
struct Site {
    module: String,
    component: String,
    function: &'static str,
    durations: VecDeque<Duration>,
}

impl Statistics {
    /// The index of a call's function.
    pub(super) fn site(&mut self, call: &Call<'_>) -> usize {
        let known = self.sites.iter().position(|site| {
            site.function == call.function && site.component == call.component && site.module == call.module
        });
        known.unwrap_or_else(|| {
            self.sites.push(Site {
                module: call.module.to_owned(),
                component: call.component.to_owned(),
                function: call.function,
                durations: VecDeque::new(),
            });
            self.sites.len() - 1
        })
    }

    /// A call came back.
    pub(super) fn took(&mut self, site: usize, duration: Duration) {
        let durations = &mut self.sites[site].durations;
        if durations.len() == REMEMBERED {
            durations.pop_front();
        }
        durations.push_back(duration);
    }

    /// How long a call may take before it is worth a word.
    pub(super) fn limit(&self, site: usize, patience: Duration) -> Duration {
        self.usual(site).map_or(patience, |usual| patience.max(usual * UNUSUAL))
    }

    /// Module, component and function.
    pub(super) fn name(&self, site: usize) -> (&str, &str, &'static str) {
        let site = &self.sites[site];
        (&site.module, &site.component, site.function)
    }

    /// The sentence's beginning: who is where.
    pub(super) fn describe(&self, site: usize) -> String {
        let (module, component, function) = self.name(site);
        format!("`{module}.{component}` is in `{function}`")
    }

    /// What its calls took so far.
    pub(super) fn history(&self, site: usize) -> String {
        match self.usual(site) {
            Some(usual) => format!("its calls usually take {usual:.1?}"),
            None => "it is its first call".to_owned(),
        }
    }

    /// The median.
    fn usual(&self, site: usize) -> Option<Duration> {
        let mut sorted: Vec<Duration> = self.sites[site].durations.iter().copied().collect();
        sorted.sort();
        sorted.get(sorted.len() / 2).copied()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use byoc::host::Call;

    use super::Statistics;

    #[test]
    fn the_limit_follows_the_median_of_a_function() {
        let mut statistics = Statistics::default();
        let site = statistics.site(&Call { module: "m", component: "C", function: "forward" });
        let other = statistics.site(&Call { module: "m", component: "C", function: "new" });
        assert_ne!(site, other);
        let patience = Duration::from_secs(30);
        assert_eq!(statistics.limit(site, patience), patience);
        for seconds in [2, 2, 90] {
            statistics.took(site, Duration::from_secs(seconds));
        }
        assert_eq!(statistics.limit(site, patience), Duration::from_secs(40));
        assert_eq!(statistics.limit(other, patience), patience);
    }
}
