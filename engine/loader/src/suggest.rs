//! Did you mean …?

/// The candidates that a misspelt name may stand for, the likeliest first, at most three.
pub(crate) fn closest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let wanted = name.to_lowercase();
    let mut scored: Vec<(f64, &str)> = candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(&wanted, &candidate.to_lowercase()), candidate))
        .filter(|(score, _)| *score > 0.84)
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    scored.dedup_by(|a, b| a.1 == b.1);
    scored.into_iter().take(3).map(|(_, candidate)| candidate.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::closest;

    #[test]
    fn a_slip_of_the_finger_finds_its_name_and_nonsense_finds_nothing() {
        let names = ["DiceLoss", "DiceCELoss", "FocalLoss", "UNet"];
        assert_eq!(closest("DiecLoss", names)[0], "DiceLoss");
        assert_eq!(closest("unet", names), ["UNet"]);
        assert_eq!(closest("Zebra", names), Vec::<String>::new());
    }
}
