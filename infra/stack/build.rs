//! A file that is added to one of these folders is in the next build too.

fn main() {
    println!("cargo::rerun-if-changed=../../observability/prometheus/rules");
    println!("cargo::rerun-if-changed=../../observability/alertmanager/templates");
}
