//! Chains made by hand, and what changing them in one place comes to.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use proptest::prelude::*;

use super::chain::{Chain, Hash, Link};
use super::event::{Event, rfc3339};
use super::fault::{Broken, Fault};

fn event(number: usize) -> Event {
    Event {
        id: format!("00000000-0000-7000-8000-{number:012}"),
        at: Some(rfc3339(&format!("{}.{number:06}", 1_768_456_800 + number))),
        actor_id: Some("00000000-0000-0000-0000-000000000002".to_owned()),
        actor_role: Some("OPERATOR".to_owned()),
        action: Some("lot.changed".to_owned()),
        entity: Some("lot".to_owned()),
        entity_id: Some(format!("00000000-0000-7000-9000-{number:012}")),
        before: number
            .is_multiple_of(2)
            .then(|| format!(r#"{{"weight_kg": "{number}.50"}}"#)),
        after: Some(format!(r#"{{"a": [1.0, 0.1, {number}], "é": null}}"#)),
        request_id: None,
    }
}

fn chain(length: usize) -> Vec<Link> {
    let mut head = Hash::ZERO;
    (1..=length)
        .map(|number| {
            let event = event(number);
            let prev_hash = bytes(head);
            head = head.follow(&event.canonical().unwrap());
            Link {
                seq: number as i64,
                event_id: event.id.clone(),
                prev_hash,
                hash: bytes(head),
                event: Some(event),
            }
        })
        .collect()
}

fn bytes(hash: Hash) -> Vec<u8> {
    let digits = hash.to_string();
    (0..32)
        .map(|place| u8::from_str_radix(&digits[2 * place..2 * place + 2], 16).unwrap())
        .collect()
}

fn walk(links: Vec<Link>) -> Result<Chain, Broken> {
    let mut chain = Chain::new(None);
    links
        .into_iter()
        .try_for_each(|link| chain.follow(link))
        .map(|()| chain)
}

fn fault(links: Vec<Link>) -> (Fault, i64) {
    let broken = walk(links).unwrap_err();
    (broken.fault, broken.seq.unwrap())
}

#[test]
fn what_is_hashed_is_the_canonical_event() {
    assert_eq!(
        event(2).canonical().unwrap(),
        "{\"action\":\"lot.changed\",\"actor_id\":\"00000000-0000-0000-0000-000000000002\",\"actor_role\":\"OPERATOR\",\
         \"after\":{\"a\":[1,0.1,2],\"é\":null},\"at\":\"2026-01-15T06:00:02.000002Z\",\"before\":{\"weight_kg\":\"2.50\"},\
         \"entity\":\"lot\",\"entity_id\":\"00000000-0000-7000-9000-000000000002\",\
         \"id\":\"00000000-0000-7000-8000-000000000002\",\"request_id\":null}"
    );
}

#[test]
fn times_are_exact_to_the_microsecond() {
    for (epoch, expected) in [
        ("0.000000", "1970-01-01T00:00:00.000000Z"),
        ("1764025200.120000", "2025-11-24T23:00:00.120000Z"),
        ("-0.000001", "1969-12-31T23:59:59.999999Z"),
        ("-62135596800.000000", "0001-01-01T00:00:00.000000Z"),
        ("Infinity", "Infinity"),
        ("1.0000001", "1.0000001"),
    ] {
        assert_eq!(rfc3339(epoch), expected, "{epoch}");
    }
}

#[test]
fn a_chain_holds_and_its_head_is_the_last_hash() {
    let links = chain(5);
    let last = links[4].hash.clone();
    let walked = walk(links).unwrap();
    assert_eq!((walked.events(), bytes(walked.head())), (5, last));
    assert!(walk(Vec::new()).unwrap().head() == Hash::ZERO);
}

#[test]
fn each_fault_is_called_by_its_name() {
    let broken = |change: &dyn Fn(&mut Vec<Link>)| {
        let mut links = chain(5);
        change(&mut links);
        fault(links)
    };
    assert_eq!(broken(&|links| drop(links.remove(0))), (Fault::Gap, 1));
    assert_eq!(broken(&|links| drop(links.remove(2))), (Fault::Gap, 3));
    assert_eq!(
        broken(&|links| links.insert(2, links[1].clone())),
        (Fault::Order, 2)
    );
    assert_eq!(broken(&|links| links[0].seq = 0), (Fault::Order, 0));
    assert_eq!(broken(&|links| links[3].event = None), (Fault::NoEvent, 4));
    assert_eq!(
        broken(&|links| links[3].prev_hash = vec![7; 32]),
        (Fault::PrevHash, 4)
    );
    assert_eq!(
        broken(&|links| links[3].hash = Vec::new()),
        (Fault::Hash, 4)
    );
    // Removed, and the rest moved up.
    assert_eq!(
        broken(&|links| {
            links.remove(1);
            links[1..].iter_mut().for_each(|link| link.seq -= 1);
        }),
        (Fault::PrevHash, 2)
    );
    // Changed, with its own hash made anew: the next one tells.
    assert_eq!(
        broken(&|links| {
            let head = walk(links[..2].to_vec()).unwrap().head();
            let mut event = event(3);
            event.actor_id = None;
            links[2].hash = bytes(head.follow(&event.canonical().unwrap()));
            links[2].event = Some(event);
        }),
        (Fault::PrevHash, 4)
    );
}

#[test]
fn a_noted_head_is_looked_for() {
    let noted = |length: usize, head: Hash| {
        let mut walked = Chain::new(Some(head));
        chain(length)
            .into_iter()
            .for_each(|link| walked.follow(link).unwrap());
        walked.has_noted()
    };
    let head = |length| walk(chain(length)).unwrap().head();
    assert!(noted(5, head(5)) && noted(5, head(3)) && noted(0, Hash::ZERO));
    assert!(!noted(4, head(5)) && !noted(0, head(1)));
}

#[test]
fn a_hash_has_64_digits() {
    let text = "00ff".repeat(16);
    assert_eq!(text.parse::<Hash>().unwrap().to_string(), text);
    for text in [
        "",
        "0",
        &"0".repeat(63),
        &"0".repeat(65),
        &"x".repeat(64),
        &"é".repeat(32),
        &"+f".repeat(32),
    ] {
        assert!(text.parse::<Hash>().is_err(), "{text}");
    }
}

/// One field of a link or its event, changed.
fn change(link: &mut Link, field: usize, text: &str) {
    let event = link.event.as_mut().unwrap();
    let text = text.to_owned();
    match field {
        0 => event.id.push_str(&text),
        1 => event.at = Some(text),
        2 => event.actor_id = Some(text),
        3 => event.actor_role = Some(text),
        4 => event.action = Some(text),
        5 => event.entity = Some(text),
        6 => event.entity_id = Some(text),
        7 => event.before = Some(format!("{text:?}")),
        8 => event.after = None,
        9 => event.request_id = Some(text),
        10 => link.prev_hash[usize::from(text.as_bytes()[0]) % 32] ^= 1,
        11 => link.hash[usize::from(text.as_bytes()[0]) % 32] ^= 0x80,
        12 => link.hash.push(0),
        _ => link.seq += 1,
    }
}

proptest! {
    #[test]
    fn any_single_change_is_found(length in 1_usize..12, place: prop::sample::Index, field in 0_usize..14, text in "[a-z]{1,5}") {
        let mut links = chain(length);
        let place = place.index(length);
        change(&mut links[place], field, &text);
        let broken = walk(links).unwrap_err();
        prop_assert_eq!(broken.seq, Some(place as i64 + 1));
    }

    #[test]
    fn any_two_that_are_swapped_are_found(length in 2_usize..12, one: prop::sample::Index, other: prop::sample::Index) {
        let (one, other) = (one.index(length), other.index(length));
        prop_assume!(one != other);
        let first = one.min(other) as i64 + 1;
        let mut links = chain(length);
        let moved = links[one].event.take();
        let moved = std::mem::replace(&mut links[other].event, moved);
        links[one].event = moved;
        prop_assert_eq!(fault(links), (Fault::Hash, first));
    }
}
