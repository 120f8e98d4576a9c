use lasthop_dataplane_api::ObjectName;

use super::*;
use crate::report::SaidListener;

fn key() -> ListenerKey {
    ListenerKey { gateway: ObjectName::new("n", "g"), set: None, name: "l".into() }
}

fn known(version: &str) -> BTreeMap<ListenerKey, String> {
    BTreeMap::from([(key(), version.to_owned())])
}

fn bound() -> ListenerState {
    ListenerState::Bound(Vec::new())
}

fn failed(message: &str) -> ListenerState {
    ListenerState::Failed { reason: "PortUnavailable".into(), message: message.into() }
}

fn says(
    voices: &mut Voices,
    session: u64,
    version: &str,
    state: ListenerState,
    known: &BTreeMap<ListenerKey, String>,
) {
    let listeners = vec![SaidListener { key: key(), version: version.to_owned(), state }];
    voices.said(session, WireReport { listeners, ..WireReport::default() }, known);
}

/// What is said now.
fn word(voices: &mut Voices, known: &BTreeMap<ListenerKey, String>) -> Option<ListenerState> {
    voices.take(known).pop().map(|(_, state)| state)
}

#[test]
fn one_that_serves_is_enough_and_all_must_fail() {
    let (mut voices, known) = (Voices::default(), known("1"));
    voices.changed(&key());
    assert_eq!(word(&mut voices, &known), None, "no proxy yet");
    voices.join(1, "a".into(), false);
    voices.join(2, "b".into(), false);
    says(&mut voices, 1, "1", failed("taken"), &known);
    assert_eq!(word(&mut voices, &known), None, "the other one may serve");
    says(&mut voices, 2, "1", failed("taken there"), &known);
    assert_eq!(word(&mut voices, &known), Some(failed("taken")));
    says(&mut voices, 2, "1", bound(), &known);
    assert_eq!(word(&mut voices, &known), Some(bound()));
    says(&mut voices, 2, "1", bound(), &known);
    assert_eq!(word(&mut voices, &known), None, "that was said");
    voices.leave(2, known.keys().cloned());
    assert_eq!(word(&mut voices, &known), Some(failed("taken")), "the one that served is gone");
    voices.leave(1, known.keys().cloned());
    assert_eq!(word(&mut voices, &known), None, "nobody is left who could say anything");
}

#[test]
fn a_word_about_an_older_version_is_none_about_the_newest() {
    let (mut voices, old, new) = (Voices::default(), known("1"), known("2"));
    voices.join(1, "a".into(), false);
    says(&mut voices, 1, "1", bound(), &old);
    assert_eq!(word(&mut voices, &old), Some(bound()));
    voices.changed(&key());
    assert_eq!(word(&mut voices, &new), None);
    says(&mut voices, 1, "1", bound(), &new);
    assert_eq!(word(&mut voices, &new), None);
    says(&mut voices, 1, "2", bound(), &new);
    assert_eq!(word(&mut voices, &new), Some(bound()), "said again, of the newest");
    voices.changed(&key());
    assert_eq!(word(&mut voices, &BTreeMap::new()), None, "it is gone");
}

#[test]
fn an_update_that_all_refuse_is_in_force_nowhere() {
    let (mut voices, known) = (Voices::default(), known("1"));
    voices.join(1, "a".into(), false);
    voices.join(2, "b".into(), false);
    says(&mut voices, 1, "1", bound(), &known);
    assert_eq!(word(&mut voices, &known), Some(bound()));
    voices.answered(1, Some("unknown field".to_owned()), known.keys().cloned());
    assert_eq!(word(&mut voices, &known), None, "the other one may take it");
    voices.answered(2, Some("unknown field".to_owned()), known.keys().cloned());
    let Some(ListenerState::Failed { reason, message }) = word(&mut voices, &known) else { panic!() };
    assert_eq!(&*reason, "Invalid");
    assert!(message.contains("proxy a") && message.contains("unknown field"), "{message}");
    voices.answered(1, None, known.keys().cloned());
    assert_eq!(word(&mut voices, &known), Some(bound()));
}

#[test]
fn nobody_speaks_of_what_is_not_the_gateways() {
    let (mut voices, known) = (Voices::default(), BTreeMap::new());
    voices.join(1, "a".into(), false);
    says(&mut voices, 1, "1", bound(), &known);
    assert!(voices.due.is_empty());
}
