//! Did you mean …?

/// The candidates nearest to a misspelt name, best first, at most three.
///
/// Upper and lower case count as equal; the last segment of a dotted name is compared on its own, too. A candidate is
/// near when the edit distance is at most a third of its length.
pub fn did_you_mean<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let mut near: Vec<(usize, &str)> = candidates
        .into_iter()
        .filter(|candidate| *candidate != name)
        .filter_map(|candidate| distance(name, candidate).map(|distance| (distance, candidate)))
        .collect();
    near.sort_by_key(|&(distance, _)| distance);
    near.dedup_by_key(|&mut (_, candidate)| candidate);
    // a perfect match but for case makes all others noise
    let best = near.first().map_or(0, |&(distance, _)| distance);
    near.into_iter().take_while(|&(distance, _)| distance <= best + 1).take(3).map(|(_, candidate)| candidate).collect()
}

/// ``did you mean `a` or `b`?``, if there is something near.
pub(crate) fn did_you_mean_help<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let near = did_you_mean(name, candidates);
    (!near.is_empty()).then(|| format!("did you mean {}?", list(&near, "or")))
}

/// `` `a`, `b` or `c` ``
pub(crate) fn list<S: AsRef<str>>(names: &[S], conjunction: &str) -> String {
    match names {
        [] => String::new(),
        [only] => format!("`{}`", only.as_ref()),
        [first @ .., last] => {
            let first: Vec<String> = first.iter().map(|name| format!("`{}`", name.as_ref())).collect();
            format!("{} {conjunction} `{}`", first.join(", "), last.as_ref())
        }
    }
}

fn distance(name: &str, candidate: &str) -> Option<usize> {
    let name = name.to_lowercase();
    let candidate = candidate.to_lowercase();
    let of = |a: &str, b: &str| {
        let distance = strsim::damerau_levenshtein(a, b);
        let allowed = (a.chars().count().min(b.chars().count()) / 3).max(1);
        (distance <= allowed && distance < b.chars().count()).then_some(distance)
    };
    let whole = of(&name, &candidate);
    let last_segment = |dotted: &str| dotted.rsplit('.').next().unwrap_or_default().to_owned();
    let last = of(&last_segment(&name), &last_segment(&candidate)).map(|distance| distance + 1);
    match (whole, last) {
        (Some(whole), Some(last)) => Some(whole.min(last)),
        (whole, last) => whole.or(last),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_found_and_far_ones_are_not() {
        let candidates = ["DiceLoss", "DiceCELoss", "FocalLoss", "BYOC.myLoss.MyDiceLoss"];
        let suggest = |name| did_you_mean(name, candidates);
        assert_eq!(suggest("DiceLos"), ["DiceLoss"]);
        assert_eq!(suggest("diceloss"), ["DiceLoss"]);
        assert_eq!(suggest("monai.losses.DiceLoss"), ["DiceLoss"]);
        assert_eq!(suggest("myLoss.MyDiceLos")[0], "BYOC.myLoss.MyDiceLoss");
        assert_eq!(suggest("TverskyLoss"), [""; 0]);
    }

    #[test]
    fn one_letter_names_suggest_nothing_far() {
        assert_eq!(did_you_mean("x", ["y", "lr"]), [""; 0]);
    }

    #[test]
    fn names_are_listed_in_words() {
        assert_eq!(list(&["a"], "or"), "`a`");
        assert_eq!(list(&["a", "b", "c"], "or"), "`a`, `b` or `c`");
    }
}
