"""Drives mixpanel for Python through all its verbs and prints, as one JSON object,
what a person who used them would expect to be stored; see node.js."""

import datetime
import json
import logging
import os

import mixpanel

env = os.environ
logging.disable(logging.WARNING)  # each import warns that secrets are old-fashioned
expected = {"events": [], "profiles": {}, "groups": {}}


def expect(event, distinct_id, properties):
    expected["events"].append({"event": event, "distinct_id": distinct_id, "properties": properties})


def drive(name, mp, flush, key, secret):
    who = "python-" + name
    for event, properties in [
        ("Signed up", {"plan": "pro", "ok": True, "none": None, "price": 19.99, "list": [1, "two", {"three": 3}]}),
        ("Übung ✓ + % &", {"größe": '日本語 & = + % " \\ \u2028', "big": 12345678901234567890123}),
    ]:
        mp.track(who, event, properties)
        expect(event, who, properties)
    when = datetime.datetime(2026, 1, 2, 3, 4, 5)
    mp.track(who, "Dated", {"when": when, "$insert_id": "dated-" + name})
    expect("Dated", who, {"when": "2026-01-02T03:04:05", "$insert_id": "dated-" + name})
    for i in range(120):
        mp.track(f"{who}-{i % 7}", "Batch", {"i": i})
        expect("Batch", f"{who}-{i % 7}", {"i": i})
    for i in range(60):
        mp.import_data(key, who, "Old", 1500000000 + i, {"i": i}, api_secret=secret)
        expect("Old", who, {"i": i, "time": 1500000000 + i})
    mp.merge(key, who, who + "-merged", api_secret=secret)
    expect("$merge", who, {"$distinct_ids": [who, who + "-merged"]})
    flush()  # a BufferedConsumer forgets the secret at the next record of another kind

    person = "python-people-" + name
    mp.people_set(person, {"$first_name": "Zoë", "plan": "free", "visits": 1, "tags": ["a"], "gone": 1}, meta={"$ip": 0})
    mp.people_set(person, {"plan": "pro"}, meta={"$ignore_time": True})
    mp.people_set_once(person, {"plan": "never", "first": when})
    mp.people_increment(person, {"visits": 2, "credits": -1.5})
    mp.people_append(person, {"tags": "b"})
    mp.people_union(person, {"tags": ["b", "c"], "langs": ["en"]})
    mp.people_remove(person, {"tags": "a"})
    mp.people_track_charge(person, 10, {"$time": "2020-01-01T00:00:00"})
    mp.people_unset(person, ["gone", "never"])
    expected["profiles"][person] = {
        "$first_name": "Zoë", "plan": "pro", "visits": 3, "tags": ["b", "c"], "first": "2026-01-02T03:04:05",
        "credits": -1.5, "langs": ["en"], "$transactions": [{"$time": "2020-01-01T00:00:00", "$amount": 10}],
    }
    mp.people_set(person + "-cleared", {"a": 1})
    mp.people_track_charge(person + "-cleared", 1)
    mp.people_clear_charges(person + "-cleared")
    expected["profiles"][person + "-cleared"] = {"a": 1}
    mp.people_set(person + "-deleted", {"a": 1})
    mp.people_delete(person + "-deleted", meta={"$ignore_alias": True})
    expected["profiles"][person + "-deleted"] = None

    company = f"Python {name} & Söhne"
    mp.group_set("company", company, {"size": 10, "tags": ["a"]})
    mp.group_set_once("company", company, {"size": 1, "since": 1999})
    mp.group_union("company", company, {"tags": ["a", "b"]})
    mp.group_remove("company", company, {"tags": "a"})
    mp.group_unset("company", company, ["since"])
    expected["groups"]["company/" + company] = {"size": 10, "tags": ["b"]}
    mp.group_set("company", company + " gone", {"a": 1})
    mp.group_delete("company", company + " gone")
    expected["groups"][f"company/{company} gone"] = None
    flush()


def alias(host):
    """alias uses a consumer of its own, whose host can be changed in one place only."""
    names = mixpanel.Consumer.__init__.__defaults__
    mixpanel.Consumer.__init__.__defaults__ = tuple(host if v == "api.mixpanel.com" else v for v in names)
    mixpanel.Mixpanel(env["LETHE_TOKEN"]).alias("python-alias@example.com", "python-original")
    mixpanel.Consumer.__init__.__defaults__ = names
    expect("$create_alias", "python-original", {"alias": "python-alias@example.com"})


def main():
    host = env["LETHE_HTTPS"]
    account = mixpanel.ServiceAccountCredentials(env["LETHE_ACCOUNT"], env["LETHE_ACCOUNT_SECRET"], env["LETHE_PROJECT"])
    single = mixpanel.Consumer(api_host=host)
    drive("single", mixpanel.Mixpanel(env["LETHE_TOKEN"], single), lambda: None, None, env["LETHE_SECRET"])
    buffered = mixpanel.BufferedConsumer(api_host=host)
    drive("buffered", mixpanel.Mixpanel(env["LETHE_TOKEN"], buffered), buffered.flush, "ignored", env["LETHE_SECRET"])
    named = mixpanel.Consumer(api_host=host, credentials=account)
    drive("account", mixpanel.Mixpanel(env["LETHE_TOKEN"], named), lambda: None, None, None)
    alias(host)
    print(json.dumps(expected))


main()
