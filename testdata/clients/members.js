// Goes through the pages about projects, people and what they hold in a headless
// Chromium: on a narrow screen and a wide one, in light and dark, with scripts and
// without. It fails where a page has a violation that axe-core finds, is wider than the
// screen, says something on the browser's console, or asks for anything from elsewhere.
"use strict";
const assert = require("assert");
const fs = require("fs");
const path = require("path");
const { chromium } = require("playwright-core");

const env = process.env;
const site = env.LETHE_SITE;
const links = JSON.parse(env.LETHE_LINKS);
const shots = env.LETHE_SHOTS;
const axe = fs.readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

let clipboard = Promise.resolve(); // there is one for all

async function drive(browser, mode, { scripts, scheme, width }) {
  const context = await browser.newContext({ javaScriptEnabled: scripts, colorScheme: scheme, viewport: { width, height: 800 }, acceptDownloads: true });
  if (scripts) await context.grantPermissions(["clipboard-read", "clipboard-write"], { origin: site });
  const page = await context.newPage();
  const problems = [];
  page.on("console", (m) => m.type() === "error" && problems.push(m.text()));
  page.on("dialog", (d) => problems.push(`a dialog: ${d.message()}`));
  page.on("request", (r) => r.url().startsWith(site) || r.url().startsWith("data:") || problems.push(`asks for ${r.url()}`));

  // look checks the page that is shown, and keeps a picture of it.
  async function look(heading, name) {
    await page.waitForSelector("h1");
    await page.waitForLoadState("load"); // with its style
    assert.equal(await page.locator("h1").innerText(), heading, page.url());
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${heading} is wider than the screen`);
    if (name) await page.screenshot({ path: path.join(shots, `${name}-${mode}.png`), fullPage: true });
    if (!scripts) return;
    await page.evaluate(axe);
    const { violations } = await page.evaluate(() => window.axe.run());
    assert.deepEqual(violations.map((v) => [v.id, v.nodes.map((n) => n.html)]), [], `${heading}, ${mode}`);
  }
  const main = page.locator("main");
  const says = async (what) => assert.match(await main.innerText(), what, page.url());
  const press = (name, within = main) => within.getByRole("button", { name, exact: true }).click();
  const back = (name) => main.getByRole("link", { name, exact: true }).click();
  const type = (label, value) => main.getByLabel(label, { exact: true }).fill(value);
  // refused looks at a page that comes back, of which the browser tells.
  async function refused(heading, name, what) {
    await look(heading, name);
    await says(what);
    problems.splice(0, problems.length, ...problems.filter((p) => !/status of 4\d\d/.test(p)));
  }

  await page.goto(links.pop());
  await page.getByRole("button", { name: "Sign in" }).click();

  // A token: made, shown once, replaced, revoked.
  await page.goto(`${site}/personal`);
  await look("Personal settings", "personal");
  await press("Generate a token");
  await look("New GDPR API token", "token");
  const token = await main.getByLabel("GDPR API token", { exact: true }).inputValue();
  assert.match(token, /^lethe_gdpr_/);
  if (scripts) {
    clipboard = clipboard.then(async () => {
      await press("Copy: GDPR API token");
      await page.getByText("Copied.").waitFor();
      assert.equal(await page.evaluate(() => navigator.clipboard.readText()), token);
    });
    await clipboard;
  }
  await page.reload();
  await refused("Personal settings", "token-again", /sent before/);
  await page.goto(`${site}/personal`);
  const prefix = token.slice(0, "lethe_gdpr_".length + 6);
  await press(`Replace ${prefix}`);
  await look("Replace a token", "replace");
  await type("Days that the old one goes on", "91");
  await press("Make the new token");
  await refused("Replace a token", "replace-refused", /from 0 to 90 days/);
  assert.equal(await main.getByLabel("Days that the old one goes on").inputValue(), "91");
  if (scripts) assert.ok(await page.locator("#replace-overlap_days:focus").isVisible(), "the field to change has the focus");
  await type("Days that the old one goes on", "3");
  await press("Make the new token");
  await look("New GDPR API token");
  await back("I have kept it");
  await main.getByRole("button", { name: `Revoke ${prefix}` }).focus();
  await page.keyboard.press("Enter");
  await look("Revoke a token", "revoke");
  await back("No, go back");
  await press(`Revoke ${prefix}`);
  await press("Revoke it");
  await look("Personal settings", "personal-tokens");
  await says(/The token was revoked\./);

  // A project of a hostile name.
  const name = `<script>alert(1)</script> ${mode}`;
  await page.goto(`${site}/projects`);
  await look("Projects", "projects");
  await type("Name", name);
  await press("Make the project");
  await look("New project", "project-made");
  await back("I have kept it");
  await look(name, "project");
  const project = new URL(page.url()).pathname;

  // Its people.
  const bob = `bob+${mode}@example.com`;
  await type("Mail address", "nobody@@example.com");
  await main.locator("form", { has: page.locator("#invite-name") }).evaluate((f) => (f.noValidate = true)); // as an older browser
  await press("Invite");
  await refused(name, "invite-refused", /plain mail address/);
  await main.getByLabel("Mail address", { exact: true }).fill("");
  await page.keyboard.type(bob);
  await page.keyboard.press("Tab");
  await page.keyboard.type("consumer");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await look(name, "invited");
  await says(/an invitation is on its way/);
  await main.getByRole("cell", { name: "consumer", exact: true }).waitFor();
  const row = main.getByRole("row", { name: bob });
  await row.getByRole("combobox").selectOption("admin");
  await press(`Change the role of ${bob}`);
  await says(/The role was given/);
  await press(`Remove ${bob}`);
  await look("Remove a member", "remove");
  await press("Remove");
  await says(/The role was taken away/);
  await type("Name", "importer");
  await press("Make the service account");
  await look("New service account", "service");
  const service = await main.getByLabel("Name", { exact: true }).inputValue();
  await back("I have kept it");
  await press(`Rotate the secret of ${service}`);
  await look("Rotate a secret", "rotate-service");
  await press("Make the new secret");
  await look("New secret");
  await back("I have kept it");

  // Its settings, token and name.
  await type("Large deletions: rows", "0");
  await type("Large deletions: percent of the project", "101");
  await press("Save the settings");
  await refused(name, "settings-refused", /This must be a number from 1 to/);
  await says(/This must be a number from 1 to 100/);
  await type("Large deletions: rows", "5000");
  await type("Large deletions: percent of the project", "10");
  await main.getByLabel("Identity").selectOption("original");
  await press("Save the settings");
  await says(/The settings were changed/);
  await press("Rotate the project token");
  await look("Rotate the project token", "rotate");
  await type("Days that the old one goes on", "30");
  await press("Make a new one");
  await look("New project token", "rotated");
  await back("I have kept it");
  await type("Mail address of the new owner", "sam@example.com");
  await press("Transfer");
  await look("Transfer the project", "transfer");
  await back("No, go back");

  // Opt-outs.
  await page.goto(`${site}${project}/opt-outs`);
  await look(`Opt-outs of the project ${name}`, "opt-outs");
  const ids = main.getByLabel("Identifiers (distinct_id or alias)");
  await ids.fill("ada\nnull\n\n");
  await press("Opt out");
  await refused(`Opt-outs of the project ${name}`, "opt-outs-refused", /position 2/);
  assert.equal((await ids.inputValue()).trim(), "ada\nnull");
  await ids.fill("ada\n<script>alert(1)</script>");
  await press("Opt out");
  await look("Opt out", "opt-out");
  await press("Opt out");
  await look(`Opt-outs of the project ${name}`, "opted-out");
  await says(/2 identifiers are newly opted out/);
  await ids.fill("ada\nbob");
  await press("Test");
  await look(`Opt-outs of the project ${name}`, "tested");
  assert.equal(await main.getByRole("row", { name: /opted out since/ }).count(), 1);
  await ids.fill("ada");
  await press("Opt in again");
  await look("Opt in again");
  await press("Opt in again");
  await says(/1 identifier is not opted out any more/);

  // The trail.
  await page.goto(`${site}${project}/audit`);
  await look(`Audit trail of the project ${name}`, "audit");
  await type("What", "opt-out.add");
  await press("Look");
  await look(`Audit trail of the project ${name}`, "audit-found");
  assert.equal(await main.locator("tbody tr").count(), 1);
  const [download] = await Promise.all([page.waitForEvent("download"), press("Download as JSON Lines")]);
  const lines = fs.readFileSync(await download.path(), "utf8").trim().split("\n").map((l) => JSON.parse(l));
  assert.ok(lines.length > 5 && lines.every((l, i) => l.number === i + 1));

  await back("Verify the trail");
  await look(`Verified: audit trail of the project ${name}`, "verified");
  await says(/Nothing was changed/);

  // Counts: of the project that has some.
  await page.goto(`${site}/projects/${env.LETHE_PROJECT}/counts`);
  await look("Counts of the project Shop", "counts");
  assert.equal(await main.getByRole("img").count(), 2);
  assert.ok((await main.locator("svg rect").first().boundingBox()).height > 1);
  // No name of a bar lies on another, or ends beyond the chart.
  const names = await Promise.all((await main.locator("svg text").all()).map(async (t) => ({ of: await t.textContent(), ...(await t.boundingBox()) })));
  const frame = await main.locator("svg").last().boundingBox();
  for (const [i, a] of names.entries()) {
    assert.ok(frame.x <= a.x && a.x + a.width <= frame.x + frame.width, `${a.of} is cut off`);
    for (const b of names.slice(i + 1)) assert.ok(a.x + a.width <= b.x || b.x + b.width <= a.x || a.y + a.height <= b.y || b.y + b.height <= a.y, `${a.of} lies on ${b.of}`);
  }
  await page.goto(`${site}${project}/counts`);
  await look(`Counts of the project ${name}`);

  // The organisation.
  await page.goto(`${site}/organisation`);
  await look("Organisation", "organisation");
  await main.getByRole("combobox", { name: "Role of pat@example.com" }).selectOption("admin");
  await press("Change the role of pat@example.com");
  await refused("Organisation", "last-owner", /This is the last owner of the organisation\./);
  await type("Time zone", "Mars/Olympus");
  await type("Holidays", "2026-12-25\nChristmas");
  await press("Save the settings");
  await refused("Organisation", "organisation-refused", /IANA name/);
  await says(/position 2/);
  assert.equal(await main.getByLabel("Holidays").inputValue(), "2026-12-25\nChristmas");
  await page.goto(`${site}/organisation/mail`);
  await look("Sent mail", "mail");
  await page.goto(`${site}/organisation/audit`);
  await look("Audit trail of the organisation", "organisation-audit");

  // Last, once the others are as far: it is the others' sessions too.
  return async (end) => {
    if (end) {
      await page.goto(`${site}/personal`);
      await press("Sign out in every browser");
    } else await page.goto(`${site}/personal`);
    await look("Sign in");
    assert.deepEqual(problems, []);
    await context.close();
  };
}

async function run() {
  fs.mkdirSync(shots, { recursive: true });
  const browser = await chromium.launch({
    executablePath: env.LETHE_CHROMIUM,
    args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });
  try {
    const ends = await Promise.all([
      drive(browser, "narrow-light", { scripts: true, scheme: "light", width: 320 }),
      drive(browser, "wide-dark", { scripts: true, scheme: "dark", width: 1280 }),
      drive(browser, "narrow-dark-bare", { scripts: false, scheme: "dark", width: 320 }),
    ]);
    for (const [i, end] of ends.entries()) await end(i === 0);
  } finally {
    await browser.close();
  }
}

run().catch((err) => {
  console.error(err);
  process.exit(1);
});
