// Makes requests in the console in a headless Chromium, as a person does: exports by a
// single identifier and by a file, whose archives go into LETHE_OUT, and deletions until
// the data is gone, one of them confirmed by a second person; with scripts and without, in
// light and dark, on a narrow screen. It fails where a page has a violation that axe-core
// finds, is wider than the screen, says something on the browser's console, or asks for
// anything from elsewhere. Pictures of the pages go into LETHE_SCREENSHOTS.
"use strict";
const assert = require("assert");
const fs = require("fs");
const path = require("path");
const { chromium } = require("playwright-core");

const env = process.env;
const site = env.LETHE_SITE;
const people = JSON.parse(env.LETHE_PEOPLE); // identifiers that have data
const links = JSON.parse(env.LETHE_LINKS); // three of each person
const axe = fs.readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const patience = 120_000;

// drive makes requests in a browser of its own, and tells which page it was at when
// something goes wrong.
async function drive(browser, person) {
  const context = await browser.newContext({ javaScriptEnabled: person.scripts, colorScheme: person.scheme, viewport: { width: person.width, height: 800 }, acceptDownloads: true });
  const page = await context.newPage();
  try {
    await ask(context, page, person);
  } catch (err) {
    const shows = await page.locator("body").innerText().catch(String);
    throw new Error(`${person.name}, at ${page.url()}, which shows\n${shows}`, { cause: err });
  }
  await context.close();
}

async function ask(context, page, { name, scripts, scheme, single, several, tokenless, signIns }) {
  page.setDefaultTimeout(patience);
  let problems = [];
  page.on("console", (m) => m.type() === "error" && problems.push(m.text()));
  page.on("pageerror", (err) => problems.push(String(err)));
  page.on("request", (r) => r.url().startsWith(site) || r.url().startsWith("data:") || problems.push(`asks for ${r.url()}`));
  const text = () => page.locator("main").innerText();

  // look checks the page that is shown.
  async function look(heading, picture) {
    await page.getByRole("heading", { level: 1, name: heading, exact: true }).waitFor();
    await page.waitForLoadState("load"); // with its style
    if (!scripts) return;
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${heading} is wider than the screen`);
    await page.evaluate(axe);
    const { violations } = await page.evaluate(() => window.axe.run());
    assert.deepEqual(violations.map((v) => [v.id, v.nodes.map((n) => n.html)]), [], `${heading}, ${scheme}`);
    if (picture) await page.screenshot({ path: path.join(env.LETHE_SCREENSHOTS, `${picture}-${name}.png`), fullPage: true });
  }
  const press = (label) => page.getByRole("button", { name: label, exact: true }).click();
  // refused is a page with what to change, which the browser tells of as a 4xx.
  async function refused(heading, control, says, picture) {
    await page.locator(`#${control}-wrong`, { hasText: says }).waitFor();
    await look(heading, picture);
    if (scripts) assert.equal(await page.evaluate(() => document.activeElement.id), control, "the focus is where something is to be changed");
    problems = problems.filter((p) => !/status of 40[09]/.test(p));
  }
  // until waits for a state: it comes by itself, or by the link that loads again.
  async function until(state) {
    if (scripts) {
      await page.locator(".state strong", { hasText: state }).waitFor();
      return;
    }
    for (const end = Date.now() + patience; (await page.locator(".state strong").innerText()) !== state; ) {
      assert.ok(Date.now() < end, `never ${state}: ${await text()}`);
      await page.waitForTimeout(300);
      await page.getByRole("link", { name: "Reload", exact: true }).click();
    }
  }
  async function download(as) {
    const [file] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name: "Download the file", exact: true }).click()]);
    await file.saveAs(path.join(env.LETHE_OUT, `${as}-${name}.zip`));
  }

  async function signIn(page) {
    await page.goto(signIns.pop());
    await page.getByRole("button", { name: "Sign in", exact: true }).click();
    await page.getByRole("heading", { level: 1, name: "Data & Privacy", exact: true }).waitFor();
  }

  await signIn(page);
  await look("Data & Privacy", "home");

  // A single person, with what cannot be first.
  await page.getByRole("link", { name: "Export user data", exact: true }).click();
  await look("Export user data", "export");
  await page.fill("#id", "null");
  await press(tokenless ? "Make my token and export the data" : "Export the data");
  await refused("Export user data", "id", /placeholder/, "refused");
  assert.equal(await page.inputValue("#id"), "null");
  await page.fill("#id", single);
  await page.locator("#id").press("Enter");
  if (tokenless) {
    await look("Your request was submitted", "token");
    assert.match(await page.inputValue("#token"), /^lethe_gdpr_[0-9a-f]{64}$/);
    await page.getByRole("link", { name: "Go to the request", exact: true }).click();
  }
  await look("Export of 1 identifier");
  await until("Completed");
  await look("Export of 1 identifier", "exported");
  await download("single");

  // Several by a file, with a line that cannot be used first.
  const csv = (lines) => ({ name: "people.csv", mimeType: "text/csv", buffer: Buffer.from(lines) });
  await page.goto(`${site}/exports/new`);
  await page.check("#compliance-ccpa");
  await page.check("#window-all");
  await page.setInputFiles("#file", csv(`\ufeffdistinct_id\r\n"${several[0]}"\r\n\r\nnull\r\n${several[1]}\r\n`));
  await press("Export the data");
  await refused("Export user data", "column", /One line cannot be used/, "lines");
  assert.match(await text(), /Line 4 is a placeholder/);
  assert.ok(await page.isChecked("#compliance-ccpa") && await page.isChecked("#window-all"), "what was chosen is kept");
  await page.fill("#column", (await page.inputValue("#column")).replace("null\n", ""));
  // The session ends meanwhile: who signs in on another page sends it again.
  await context.clearCookies();
  await press("Export the data");
  await look("You are not signed in", "ended");
  const [other] = await Promise.all([context.waitForEvent("page"), page.getByRole("link", { name: "Sign in on another page", exact: true }).click()]);
  await signIn(other);
  await other.close();
  await press("Send it again");
  await look("Export of 2 identifiers");
  await until("Completed");
  await download("several");

  // Deleted, when the number was typed and the window has passed.
  await page.goto(`${site}/deletions/new`);
  await look("Delete user data", "deletion");
  await page.setInputFiles("#file", csv(several.join("\n")));
  await press("Continue");
  await look("Delete user data: confirm", "confirm");
  await page.fill("#count", "1");
  await press("Delete the data of 2 identifiers");
  await refused("Delete user data: confirm", "count", /Type 2/);
  await page.fill("#count", "2");
  await press("Delete the data of 2 identifiers");
  await look("Deletion of 2 identifiers");
  await until("Waits, can be cancelled");
  for (const end = Date.now() + patience; !/What would go: [1-9]/.test(await text()); await page.waitForTimeout(200)) {
    assert.ok(Date.now() < end, await text());
    if (!scripts) await page.getByRole("link", { name: "Reload", exact: true }).click();
  }
  await look("Deletion of 2 identifiers", "window");
  await until("Completed");
  await look("Deletion of 2 identifiers", "deleted");
  await page.getByRole("link", { name: "View the certificate", exact: true }).click();
  await look("Certificate of a deletion", "certificate");
  assert.match(await text(), /0 events, 0 profiles/);

  // Another one is cancelled in its window. What is typed there meanwhile stays. Before, an
  // identifier stands there as it is: no blank of it is lost, and it turns nothing round.
  await page.goto(`${site}/deletions/new`);
  const odd = "two  blanks \u202e and a turn";
  await page.fill("#id", odd);
  await press("Continue");
  await look("Delete user data: confirm");
  const shown = page.locator("dd code");
  assert.equal(await shown.innerText(), odd);
  assert.equal(await shown.evaluate((e) => getComputedStyle(e).unicodeBidi), "isolate");
  await press("Change something");
  await page.fill("#id", single);
  await press("Continue");
  await page.fill("#count", "1");
  await press("Delete the data of 1 identifier");
  await look("Deletion of 1 identifier");
  if (scripts) {
    await page.fill("#reason", "many");
    await page.waitForTimeout(3000);
    assert.equal(await page.inputValue("#reason"), "many");
    await page.fill("#reason", "");
    await page.locator("#cancel").focus();
    await page.locator(".state strong", { hasText: "Waits, can be cancelled" }).waitFor();
    assert.equal(await page.evaluate(() => document.activeElement.id), "cancel", "the focus stays");
  }
  // The log, open on another page, tells of it too.
  const log = await context.newPage();
  await log.goto(`${site}/requests?type=deletion`);
  const state = log.getByRole("row").filter({ hasText: page.url().split("/").pop() }).getByRole("cell").last();
  await state.filter({ hasText: "Waits, can be cancelled" }).waitFor();
  await press("Cancel the deletion");
  await look("Cancel the deletion", "cancel");
  await press("Cancel the deletion");
  await until("Cancelled");
  if (!scripts) await log.getByRole("link", { name: "Reload", exact: true }).click();
  await state.filter({ hasText: "Cancelled" }).waitFor();
  await log.close();
  await look("Deletion of 1 identifier", "cancelled");

  // All of it is in the log, and found by a person.
  await page.goto(`${site}/requests`);
  await look("Requests", "log");
  await page.fill("#sought", several[0]);
  await press("Search");
  await look("Requests", "found");
  assert.equal(await page.locator("tbody tr").count(), 2);
  assert.ok(!page.url().includes(several[0]));
  await page.goto(`${site}/requests/0b8e3d4c-5a6f-4e21-9c7d-1f2a3b4c5d6e`);
  await look("Not found");
  problems = problems.filter((p) => !/status of 40[34]/.test(p));
  assert.deepEqual(problems, []);
}

// A deletion that is large for its project waits until a second person confirms it.
async function confirmed(browser, [owner, second], id) {
  const contexts = [];
  async function signedIn(links) {
    const context = await browser.newContext({ viewport: { width: 1024, height: 800 } });
    contexts.push(context);
    const page = await context.newPage();
    page.setDefaultTimeout(patience);
    await page.goto(links.pop());
    await page.getByRole("button", { name: "Sign in", exact: true }).click();
    await page.getByRole("heading", { level: 1, name: "Data & Privacy", exact: true }).waitFor();
    return page;
  }
  const press = (page, label) => page.getByRole("button", { name: label, exact: true }).click();
  const state = (page, text) => page.locator(".state strong", { hasText: text }).waitFor();

  const first = await signedIn(owner);
  await first.goto(`${site}/projects`);
  await first.locator("td a").first().click();
  await first.getByLabel("Large deletions: percent of the project", { exact: true }).fill("1");
  await first.getByLabel("Large deletions: rows", { exact: true }).fill("1");
  await press(first, "Save the settings");
  await first.getByRole("status").filter({ hasText: "The settings were changed" }).waitFor();
  await first.goto(`${site}/deletions/new`);
  await first.setInputFiles("#file", { name: "people.csv", mimeType: "text/csv", buffer: Buffer.from(id.join("\n")) });
  await press(first, "Continue");
  await first.fill("#count", String(id.length));
  await press(first, `Delete the data of ${id.length} identifiers`);
  await state(first, "Waits to be confirmed");
  await press(first, "Confirm");
  await first.getByRole("alert").filter({ hasText: "another" }).waitFor();

  const other = await signedIn(second);
  await other.goto(first.url().replace(/\/confirm$/, ""));
  await other.getByRole("heading", { level: 1, name: `Deletion of ${id.length} identifiers`, exact: true }).waitFor();
  await press(other, "Confirm");
  await state(other, "Waits, can be cancelled");
  await state(other, "Completed");
  for (const context of contexts) await context.close();
}

async function main() {
  const browser = await chromium.launch({
    executablePath: env.LETHE_CHROMIUM,
    args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });
  const some = (i) => ({ signIns: links[i], single: people[3 * i], several: people.slice(3 * i + 1, 3 * i + 3) });
  try {
    await Promise.all([
      drive(browser, { name: "light", scripts: true, scheme: "light", width: 320, ...some(0) }),
      drive(browser, { name: "dark", scripts: true, scheme: "dark", width: 1024, tokenless: true, ...some(1) }),
      drive(browser, { name: "plain", scripts: false, scheme: "light", width: 320, ...some(2), tokenless: true }),
    ]);
    await confirmed(browser, links, JSON.parse(env.LETHE_MANY));
  } finally {
    await browser.close();
  }
}

main().catch((err) => {
  console.error(err);
  process.exit(1);
});
