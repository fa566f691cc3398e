//! Values of production's YAML files that are other ones here: addresses and files, never rules or routes.

/// Gives every `key` of a YAML file another value; `None` if there is none, so that a key that was renamed is found.
pub(super) fn set(yaml: &str, key: &str, value: &str) -> Option<String> {
    let mut found = false;
    let mut out = String::with_capacity(yaml.len());
    for line in yaml.lines() {
        let name = line.trim_start_matches([' ', '-']);
        let is_it = name
            .strip_prefix(key)
            .is_some_and(|rest| rest.starts_with(": "));
        if is_it {
            found = true;
            let indent = line.get(..line.len() - name.len()).unwrap_or_default();
            out.push_str(&format!("{indent}{key}: {value}"));
        } else {
            out.push_str(line);
        }
        out.push('\n');
    }
    found.then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_gets_another_value_wherever_it_is() {
        let yaml = "global:\n  smarthost: mail:587\nlist:\n  - smarthost: other # why\n    smarthosts: x\n";
        assert_eq!(
            set(yaml, "smarthost", "127.0.0.1:25").unwrap(),
            "global:\n  smarthost: 127.0.0.1:25\nlist:\n  - smarthost: 127.0.0.1:25\n    smarthosts: x\n"
        );
        assert_eq!(set(yaml, "smart", "x"), None);
    }
}
