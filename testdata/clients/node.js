// Drives npm mixpanel through all its verbs and prints, as one JSON object, what a
// person who used them would expect to be stored:
//   events    [{event, distinct_id, properties}]
//   profiles  {distinct_id: properties}
//   groups    {"key/id": properties}
// Any call that the library reports as failed ends the program with an error.
"use strict";
const Mixpanel = require("mixpanel");
const { promisify } = require("node:util");

const env = process.env;
const expected = { events: [], profiles: {}, groups: {} };
const quiet = { trace() {}, debug() {}, info() {}, warn() {}, error() {} };

// client makes a client whose functions return promises.
function client(host, protocol, config) {
  const mp = Mixpanel.init(env.LETHE_TOKEN, { host, protocol, logger: quiet, ...config });
  const all = (object, names) =>
    Object.fromEntries(names.map((n) => [n, promisify(object[n].bind(object))]));
  return {
    ...all(mp, ["track", "track_batch", "import", "import_batch", "alias"]),
    people: all(mp.people, ["set", "set_once", "increment", "append", "track_charge", "clear_charges", "delete_user", "remove", "union", "unset"]),
    groups: all(mp.groups, ["set", "set_once", "union", "unset", "remove", "delete_group"]),
  };
}

function expect(event, distinct_id, properties) {
  expected.events.push({ event, distinct_id, properties });
}

async function track(mp, event, properties) {
  expect(event, properties.distinct_id, { ...properties });
  await mp.track(event, { ...properties });
}

async function events(name, mp) {
  const id = `node-${name}`;
  await track(mp, "Signed up", { distinct_id: id, plan: "pro", ok: true, none: null, price: 19.99, list: [1, "two", { three: 3 }] });
  await track(mp, "Übung ✓ ???>>>~~~", { distinct_id: id, "größe": "日本語 & = + % \" \\ \u2028", time: 1700000000 });
  await track(mp, "No id", { plan: "none" });
  const time = new Date(Date.now() - 3600_000);
  expect("Dated", id, { n: 1, time: time.getTime() });
  await mp.track("Dated", { distinct_id: id, n: 1, time });

  const batch = Array.from({ length: 120 }, (_, i) => ({
    event: "Batch",
    properties: { distinct_id: `${id}-${i % 7}`, i, odd: "???>>>~~~ÿÿÿ".repeat(i % 5), time: 1700000000 + i, $insert_id: `${id}-${i}` },
  }));
  batch.forEach((e) => expect(e.event, e.properties.distinct_id, { ...e.properties }));
  await mp.track_batch(batch, { max_batch_size: 50, max_concurrent_requests: 2 });

  expect("$create_alias", id, { alias: `${id}@example.com` });
  await mp.alias(id, `${id}@example.com`);
}

async function imports(name, mp) {
  const id = `node-import-${name}`;
  const time = new Date("2019-03-04T05:06:07Z");
  expect("Old", id, { x: "y", time: time.getTime() });
  await mp.import("Old", time, { distinct_id: id, x: "y" });
  const batch = Array.from({ length: 60 }, (_, i) => ({
    event: "Old batch",
    properties: { distinct_id: id, i, $insert_id: `old-${i}`, time: 1500000000 + i },
  }));
  batch.forEach((e) => expect(e.event, id, { ...e.properties }));
  await mp.import_batch(batch);
}

async function people(name, mp) {
  const id = `node-people-${name}`;
  await mp.people.set(id, { $first_name: "Zoë", plan: "free", visits: 1, tags: ["a"], gone: 1, ip: "192.0.2.1" });
  await mp.people.set(id, "plan", "pro");
  await mp.people.set_once(id, "plan", "never");
  await mp.people.set_once(id, { first: "2026-01-01" }, { $ignore_time: true, $time: 1700000000 });
  await mp.people.increment(id, "visits");
  await mp.people.increment(id, "visits", 3);
  await mp.people.increment(id, { visits: 2, credits: -1.5 });
  await mp.people.append(id, "tags", "b");
  await mp.people.append(id, { tags: "a", seen: { at: 1 } });
  await mp.people.union(id, { tags: ["b", "c"], langs: ["en"] });
  await mp.people.remove(id, { tags: "a" });
  await mp.people.track_charge(id, 10, { $time: new Date("2020-01-01T00:00:00Z") });
  await mp.people.track_charge(id, 25.5);
  await mp.people.unset(id, ["gone", "never"]);
  expected.profiles[id] = {
    $first_name: "Zoë", plan: "pro", visits: 7, tags: ["b", "c"], first: "2026-01-01", credits: -1.5, seen: [{ at: 1 }], langs: ["en"],
    $transactions: [{ $time: "2020-01-01T00:00:00.000Z", $amount: 10 }, { $amount: 25.5 }],
  };
  await mp.people.set(`${id}-cleared`, { a: 1 });
  await mp.people.track_charge(`${id}-cleared`, 1);
  await mp.people.clear_charges(`${id}-cleared`);
  expected.profiles[`${id}-cleared`] = { a: 1, $transactions: [] };
  await mp.people.set(`${id}-deleted`, { a: 1 });
  await mp.people.delete_user(`${id}-deleted`, { $ignore_alias: true });
  expected.profiles[`${id}-deleted`] = null;
}

async function groups(name, mp) {
  const id = `Node ${name} & Söhne`;
  await mp.groups.set("company", id, { size: 10, tags: ["a"] });
  await mp.groups.set("company", id, "city", "Köln");
  await mp.groups.set_once("company", id, { size: 1, since: 1999 });
  await mp.groups.union("company", id, { tags: ["a", "b"] });
  await mp.groups.remove("company", id, { tags: "a" });
  await mp.groups.unset("company", id, ["since"]);
  expected.groups[`company/${id}`] = { size: 10, tags: ["b"], city: "Köln" };
  await mp.groups.set("company", `${id} gone`, { a: 1 });
  await mp.groups.delete_group("company", `${id} gone`);
  expected.groups[`company/${id} gone`] = null;
}

async function main() {
  const plain = client(env.LETHE_HTTP, "http", { key: env.LETHE_SECRET });
  const secret = client(env.LETHE_HTTPS, "https", { secret: env.LETHE_SECRET, verbose: true });
  const account = client(env.LETHE_HTTPS, "https", {
    geolocate: true,
    credentials: new Mixpanel.ServiceAccountCredentials(env.LETHE_ACCOUNT, env.LETHE_ACCOUNT_SECRET, env.LETHE_PROJECT),
  });
  for (const [name, mp] of Object.entries({ plain, secret, account })) {
    await events(name, mp);
    await imports(name, mp);
    await people(name, mp);
    await groups(name, mp);
  }
  process.stdout.write(JSON.stringify(expected), () => process.exit(0)); // the agents keep connections open
}

main().catch((err) => {
  console.error(err);
  process.exit(1);
});
