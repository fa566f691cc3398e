//! "Did you mean": the nearest of the names that would have been right.

/// The candidate fewest edits away, if it is near enough to be a slip of the keyboard.
pub(super) fn nearest<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let allowed = (name.chars().count() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Insertions, deletions, substitutions and swaps of neighbours (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    let mut previous = None;
    for (i, ca) in a.chars().enumerate() {
        let mut row = vec![i + 1];
        for (j, cb) in b.iter().enumerate() {
            let at = |row: &[usize], j: usize| row.get(j).copied().unwrap_or(usize::MAX - 1);
            let substituted = at(&last, j) + usize::from(ca != *cb);
            let mut cost = substituted.min(at(&last, j + 1) + 1).min(at(&row, j) + 1);
            if j > 0 && previous == Some(*cb) && b.get(j - 1) == Some(&ca) {
                cost = cost.min(at(&before_last, j - 1) + 1);
            }
            row.push(cost);
        }
        before_last = std::mem::replace(&mut last, row);
        previous = Some(ca);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_slips_of_the_keyboard() {
        let keys = ["memory_limit", "timeout", "queue", "methods"];
        for (slip, meant) in [
            ("memmory_limit", "memory_limit"),
            ("tiemout", "timeout"),
            ("que", "queue"),
            ("method", "methods"),
        ] {
            let expected = (slip != "que").then_some(meant);
            assert_eq!(nearest(slip, keys), expected, "{slip}");
        }
        assert_eq!(nearest("colour", keys), None);
        assert_eq!(nearest("x", []), None);
    }

    #[test]
    fn counts_edits() {
        for (a, b, edits) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("abc", "acb", 1),
            ("kitten", "sitting", 3),
            ("lot", "lots", 1),
        ] {
            assert_eq!(distance(a, b), edits, "{a:?} {b:?}");
        }
    }
}
