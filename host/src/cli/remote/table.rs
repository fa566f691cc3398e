//! Aligned columns.

use std::fmt;

/// Between two columns.
const GAP: usize = 2;

/// Rows of as many cells each.
#[derive(Debug)]
pub struct Table<const COLUMNS: usize>(Vec<[String; COLUMNS]>);

// === impl Table ===

impl<const COLUMNS: usize> Table<COLUMNS> {
    pub fn new(head: [&str; COLUMNS]) -> Self {
        Self(vec![head.map(str::to_owned)])
    }

    pub fn row(&mut self, cells: [&str; COLUMNS]) {
        self.0.push(cells.map(printable));
    }
}

impl<const COLUMNS: usize> fmt::Display for Table<COLUMNS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut widths = [0; COLUMNS];
        for row in &self.0 {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.chars().count().max(*width);
            }
        }
        for (number, row) in self.0.iter().enumerate() {
            let mut line = String::new();
            for (width, cell) in widths.iter().zip(row) {
                line += &format!("{cell:<0$}", width + GAP);
            }
            let end = if number + 1 == self.0.len() { "" } else { "\n" };
            write!(f, "{}{end}", line.trim_end())?;
        }
        Ok(())
    }
}

/// One line, without what a terminal would take for an order: names of imports, for example, come from components.
pub fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::Table;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(["FUNCTION", "BY", "N"]);
        table.row(["lot", "süß@plant", "3"]);
        table.row(["", "x\ny", ""]);
        assert_eq!(
            table.to_string(),
            "FUNCTION  BY         N\n\
             lot       süß@plant  3\n          \
             x?y"
        );
    }
}
