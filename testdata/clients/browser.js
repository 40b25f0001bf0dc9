// Drives mixpanel-browser in a headless Chromium on a page of another origin, and
// prints, as one JSON object, what is to be stored; see node.js. An id that the
// library makes is reported by the page.
"use strict";
const { chromium } = require("playwright-core");

const env = process.env;
const expected = { events: [], profiles: {}, groups: {} };

function expect(event, distinct_id, properties) {
  expected.events.push({ event, distinct_id, properties });
}

// open loads a page and starts the library there.
async function open(context, config) {
  const page = await context.newPage();
  page.on("pageerror", fail);
  page.underWay = new Set();
  page.on("request", (r) => page.underWay.add(r));
  page.on("requestfinished", (r) => page.underWay.delete(r));
  page.on("requestfailed", (r) => page.underWay.delete(r));
  await page.goto(env.LETHE_PAGE);
  await page.evaluate(
    ([token, config]) => {
      window.problems = [];
      mixpanel.init(token, { ...config, error_reporter: (m) => window.problems.push(String(m)) });
    },
    [env.LETHE_TOKEN, { api_host: `http://${env.LETHE_HTTP}`, persistence: "localStorage", ignore_dnt: true, ...config }],
  );
  return page;
}

function fail(err) {
  console.error(err);
  process.exit(1);
}

// calm waits until the server has answered everything that the page sent.
async function calm(page) {
  for (let quiet = 0; quiet < 3; ) {
    const idle = await page.evaluate(
      () => new Promise((resolve) => setTimeout(() => resolve(
        Object.values(mixpanel.request_batchers || {}).every((b) => !b.requestInProgress && b.queue.memQueue.length === 0)), 60)));
    quiet = idle && page.underWay.size === 0 ? quiet + 1 : 0;
  }
  const problems = await page.evaluate(() => window.problems);
  if (problems.length) fail(new Error(problems.join("\n")));
}

// people sends updates of the person's and of groups' profiles, one after the other.
async function people(page, name) {
  await page.evaluate(async (name) => {
    const sent = window.sent;
    const p = mixpanel.people;
    await sent((done) => p.set({ $first_name: "Zoë", plan: "free", visits: 1, tags: ["a"], gone: 1 }, done));
    await sent((done) => p.set("plan", "pro", done));
    await sent((done) => p.set_once({ plan: "never", first: "2026-01-01" }, done));
    await sent((done) => p.increment("visits", 1, done));
    await sent((done) => p.increment({ visits: 2, credits: -1.5 }, done));
    await sent((done) => p.append("tags", "b", done));
    await sent((done) => p.union("tags", ["b", "c"], done));
    await sent((done) => p.remove("tags", "a", done));
    await sent((done) => p.unset("gone", done));
    const g = mixpanel.get_group("company", `Browser ${name}`);
    await sent((done) => g.set({ size: 10, tags: ["a"] }, done));
    await sent((done) => g.set_once({ size: 1, since: 1999 }, done));
    await sent((done) => g.union("tags", ["a", "b"], done));
    await sent((done) => g.remove("tags", "a", done));
    await sent((done) => g.unset("since", done));
    const gone = mixpanel.get_group("company", `Browser ${name} gone`);
    await sent((done) => gone.set({ a: 1 }, done));
    await sent((done) => gone.delete(done));
  }, name);
  const id = `browser-${name}`;
  expected.profiles[id] = {
    $first_name: "Zoë", plan: "pro", visits: 4, tags: ["b", "c"], first: "2026-01-01", credits: -1.5, company: [`Browser ${name}`],
  };
  expected.groups[`company/Browser ${name}`] = { size: 10, tags: ["b"] };
  expected.groups[`company/Browser ${name} gone`] = null;
}

async function drive(browser, name, config) {
  const context = await browser.newContext();
  const page = await open(context, config);
  const id = `browser-${name}`;
  const device = await page.evaluate(async ([id, name]) => {
    const device = mixpanel.get_distinct_id();
    const sent = window.sent = (f) => new Promise((resolve, reject) =>
      f((r) => ((r && r.status !== undefined ? r.status : r) === 1 ? resolve() : reject(new Error(`${f}: ${JSON.stringify(r)}`)))));
    mixpanel.register({ plan: "free" });
    await sent((done) => mixpanel.track("Looked", { nr: 1, text: "???>>>~~~ ÿ 日本語 & = + %", list: [1, { two: 2 }] }, done));
    mixpanel.identify(id);
    mixpanel.register({ plan: "pro" });
    mixpanel.time_event("Timed");
    await sent((done) => mixpanel.track("Bought", { price: 19.99, none: null, ok: true }, done));
    await sent((done) => mixpanel.track("Timed", {}, done));
    await sent((done) => mixpanel.track("At once", { now: true }, { send_immediately: true }, done));
    await sent((done) => mixpanel.set_group("company", `Browser ${name}`, done));
    await sent((done) => mixpanel.track_with_groups("Grouped", {}, { company: `Browser ${name}` }, done));
    mixpanel.track_pageview({ page: "home" });
    return device;
  }, [id, name]);
  const ordered = config.api_transport !== "sendBeacon"; // beacons overtake one another
  if (ordered) await people(page, name);
  expect("Looked", device, { nr: 1, text: "???>>>~~~ ÿ 日本語 & = + %", list: [1, { two: 2 }], plan: "free" });
  expect("$identify", id, { $anon_distinct_id: device, $user_id: id });
  expect("Bought", id, { price: 19.99, none: null, ok: true, plan: "pro" });
  expect("Timed", id, {});
  expect("At once", id, { now: true });
  expect("Grouped", id, { company: `Browser ${name}` });
  expect("$mp_web_page_view", id, { page: "home" });
  await calm(page);
  // What is still in the queue when the page goes is sent by sendBeacon, and once
  // more when the next page finds it: the server must not have it twice.
  await page.evaluate(() => mixpanel.track("Left", { last: true }, { transport: "sendBeacon" }));
  expect("Left", id, { last: true });
  await page.goto("about:blank");
  await page.close();

  const next = await open(context, config);
  const other = await next.evaluate((id) => {
    mixpanel.reset();
    const device = mixpanel.get_distinct_id();
    mixpanel.identify(id);
    mixpanel.people.set({ a: 1 });
    return device;
  }, `${id}-gone`);
  await calm(next);
  expect("$identify", `${id}-gone`, { $anon_distinct_id: other });
  if (ordered) {
    await next.evaluate(() => mixpanel.people.delete_user());
    await calm(next);
    expected.profiles[`${id}-gone`] = null;
  }
  await context.close();
}

async function main() {
  const browser = await chromium.launch({
    executablePath: env.LETHE_CHROMIUM,
    args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });
  const batched = { batch_flush_interval_ms: 50 };
  await Promise.all([
    drive(browser, "batched", batched),
    drive(browser, "verbose", { ...batched, verbose: true, api_payload_format: "json" }),
    drive(browser, "single", { batch_requests: false }),
    drive(browser, "get", { batch_requests: false, api_method: "GET", verbose: true, ip: false }),
    drive(browser, "beacon", { batch_requests: false, api_transport: "sendBeacon" }),
  ]);
  await browser.close();
  console.log(JSON.stringify(expected));
}

main().catch(fail);
