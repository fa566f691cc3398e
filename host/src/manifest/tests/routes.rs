//! Paths find the functions that stock Spin would find.

use crate::manifest::app::Route;
use crate::manifest::routes::RoutePattern;
use crate::manifest::{FunctionId, Router};

fn routes(templates: &[&str]) -> Vec<Route> {
    let route = |(line, template): (usize, &&str)| Route {
        pattern: RoutePattern::parse(template)
            .unwrap_or_else(|reason| panic!("{template}: {reason}")),
        function: FunctionId::parse("f").unwrap(),
        line,
    };
    templates.iter().enumerate().map(route).collect()
}

fn router(templates: &[&str]) -> Router {
    Router::new(&routes(templates)).unwrap()
}

#[track_caller]
fn assert_finds(templates: &[&str], cases: &[(&str, Option<&str>)]) {
    let router = router(templates);
    for (path, expected) in cases {
        let found = router.find(path);
        assert_eq!(
            found.as_ref().map(|m| m.template),
            *expected,
            "{path:?} among {templates:?}"
        );
        if let Some(found) = found {
            assert_eq!(templates[found.index], found.template);
        }
    }
}

#[test]
fn literals_match_themselves() {
    assert_finds(
        &["/", "/a", "/a/b", "/.well-known/x"],
        &[
            ("/", Some("/")),
            ("", Some("/")),
            ("/a", Some("/a")),
            ("/a/b", Some("/a/b")),
            ("/.well-known/x", Some("/.well-known/x")),
            ("/b", None),
            ("/ab", None),
            ("/A", None),
            ("/a/b/c", None),
            ("/%61", None),
        ],
    );
}

#[test]
fn slashes_at_the_ends_do_not_matter_and_inside_they_do() {
    assert_finds(
        &["/a/b", "/c/"],
        &[
            ("/a/b/", Some("/a/b")),
            ("//a/b//", Some("/a/b")),
            ("/a//b", None),
            ("/c", Some("/c/")),
            ("/c/", Some("/c/")),
        ],
    );
}

#[test]
fn the_most_specific_route_wins_whatever_the_order() {
    let templates = [
        "/...",
        "/:a",
        "/a",
        "/a/...",
        "/a/:b",
        "/a/b",
        "/:a/b/...",
        "/a/b/c/...",
    ];
    let cases = [
        ("/", Some("/...")),
        ("/a", Some("/a")),
        ("/x", Some("/:a")),
        ("/a/b", Some("/a/b")),
        ("/a/x", Some("/a/:b")),
        ("/a/x/y", Some("/a/...")),
        ("/a/b/x", Some("/a/...")),
        ("/a/b/c/d", Some("/a/b/c/...")),
        ("/x/b", Some("/:a/b/...")),
        ("/x/b/c", Some("/:a/b/...")),
        ("/x/c", Some("/...")),
    ];
    assert_finds(&templates, &cases);
    let mut reversed = templates;
    reversed.reverse();
    assert_finds(&reversed, &cases);
}

#[test]
fn a_dead_end_is_left_for_a_less_specific_route() {
    assert_finds(
        &["/a/:x/c", "/:y/b/d"],
        &[
            ("/a/b/c", Some("/a/:x/c")),
            ("/a/b/d", Some("/:y/b/d")),
            ("/a/b/e", None),
        ],
    );
    let router = router(&["/a/:x/c", "/:y/b/:z"]);
    let found = router.find("/a/b/d").unwrap();
    assert_eq!(found.params().collect::<Vec<_>>(), [("y", "a"), ("z", "d")]);
}

#[test]
fn parameters_are_named_per_route_and_undecoded() {
    let router = router(&["/lots/:id", "/lots/:lot/parents/:parent"]);
    let found = router.find("/lots/L%2F1").unwrap();
    assert_eq!(found.params().collect::<Vec<_>>(), [("id", "L%2F1")]);
    let found = router.find("/lots/1/parents/2/").unwrap();
    assert_eq!(
        found.params().collect::<Vec<_>>(),
        [("lot", "1"), ("parent", "2")]
    );
    assert_eq!(found.path_info, "");
}

#[test]
fn the_rest_of_the_path_keeps_its_slashes() {
    let router = router(&["/test/...", "/star/*", "/p/:x/..."]);
    for (path, path_info) in [
        ("/test", ""),
        ("/test/", "/"),
        ("/test//", "/"),
        ("/test/hello", "/hello"),
        ("/test/hello/", "/hello/"),
        ("/test/a/b", "/a/b"),
        ("/test//b", "//b"),
        ("/star/x", "/x"),
        ("/p/1", ""),
        ("/p/1/2/3", "/2/3"),
    ] {
        assert_eq!(router.find(path).unwrap().path_info, path_info, "{path}");
    }
    let everything = self::router(&["/..."]);
    for (path, path_info) in [
        ("/", "/"),
        ("", ""),
        ("/1/2", "/1/2"),
        ("/1/2/", "/1/2/"),
        ("*", "*"),
    ] {
        assert_eq!(
            everything.find(path).unwrap().path_info,
            path_info,
            "{path}"
        );
    }
}

#[test]
fn routes_that_match_the_same_paths_are_duplicates() {
    for (a, b) in [
        ("/a", "/a/"),
        ("/a/:x", "/a/:y"),
        ("/a/...", "/a/*"),
        ("/:x/...", "/:y/..."),
        ("/", ""),
    ] {
        let duplicates = Router::new(&routes(&["/z", a, b])).unwrap_err();
        assert_eq!(
            duplicates
                .iter()
                .map(|d| (d.first, d.second))
                .collect::<Vec<_>>(),
            [(1, 2)],
            "{a} {b}"
        );
    }
    for (a, b) in [
        ("/a", "/a/..."),
        ("/a/:x", "/a/..."),
        ("/a/:x", "/:a/x"),
        ("/a", "/A"),
    ] {
        router(&[a, b]);
    }
}

#[test]
fn what_is_no_route_is_refused() {
    for template in [
        "/a//b",
        "/:",
        "/ä",
        "/:ä",
        "/:a:b",
        "/:x.json",
        "/a.:x",
        "/:x/:x",
        "/.../a",
        "/*/a",
        "/a/*b",
        "/a?b",
        "/a#b",
        "/a b",
        "/.well-known/spin/x",
        "/.well-known/spin/...",
    ] {
        assert!(RoutePattern::parse(template).is_err(), "{template}");
    }
    assert_eq!(RoutePattern::parse("a/b").unwrap().template(), "/a/b");
    RoutePattern::parse("/.well-known/spin").unwrap();
}

#[test]
fn deep_paths_and_many_routes_are_fine() {
    let templates: Vec<String> = (0..200).map(|n| format!("/api/r{n}/:id")).collect();
    let templates: Vec<&str> = templates.iter().map(String::as_str).collect();
    let router = router(&templates);
    for (index, n) in (0..200).enumerate() {
        assert_eq!(router.find(&format!("/api/r{n}/x")).unwrap().index, index);
    }
    assert_eq!(router.find(&"/a".repeat(100_000)), None);
}
