// Signs in to the console in a headless Chromium, by links and by the provider, with
// scripts and without, in light and dark, on a narrow screen, by keyboard. It fails
// where a page has a violation that axe-core finds, is wider than the screen, says
// something on the browser's console, or asks for anything from elsewhere.
"use strict";
const assert = require("assert");
const fs = require("fs");
const { chromium } = require("playwright-core");

const env = process.env;
const site = env.LETHE_SITE;
const links = JSON.parse(env.LETHE_LINKS);
const axe = fs.readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const mail = "http://mail.test/"; // another site, where somebody reads mail

async function drive(browser, { scripts, scheme }) {
  const context = await browser.newContext({ javaScriptEnabled: scripts, colorScheme: scheme, viewport: { width: 320, height: 640 } });
  const page = await context.newPage();
  const problems = [];
  page.on("console", (m) => page.url().startsWith(site) && m.type() === "error" && problems.push(m.text()));
  page.on("request", (r) => {
    const by = r.frame().url();
    if (by.startsWith(site) && !r.isNavigationRequest() && !r.url().startsWith(site) && !r.url().startsWith("data:")) problems.push(`asks for ${r.url()}`);
  });
  // Nothing of this machine's network is beyond the two servers.
  await context.route((u) => !["127.0.0.1", "localhost"].includes(u.hostname), (r) => r.abort());
  await context.route(mail, (r) => r.fulfill({ contentType: "text/html", body: `<!doctype html><title>Mail</title>
    <a id="link" href="${links.pop()}">sign in</a> <a id="home" href="${site}/">home</a>
    <form method="post" action="${site}/sign-out"><button>sign out</button></form>` }));

  // look checks the page that is shown.
  async function look(heading) {
    await page.waitForSelector("h1");
    await page.waitForLoadState("load"); // with its style
    assert.equal(await page.locator("h1").innerText(), heading, page.url());
    if (!scripts) return;
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${heading} is wider than the screen`);
    await page.evaluate(axe);
    const { violations } = await page.evaluate(() => window.axe.run());
    assert.deepEqual(violations.map((v) => [v.id, v.nodes.map((n) => n.html)]), [], `${heading}, ${scheme}`);
  }
  const press = (...keys) => keys.reduce((before, key) => before.then(() => page.keyboard.press(key)), Promise.resolve());

  // By a link in a mail, with nothing but the keyboard.
  await page.goto(`${site}/`);
  await look("Sign in");
  await page.goto(mail);
  await page.click("#link");
  await look("Sign in");
  await press("Enter"); // the button has the focus
  await look("Data & Privacy");
  assert.match(await page.locator("main").innerText(), /pat@example\.com/);

  // A link of another site leads to somebody who is signed in; its forms do nothing.
  await page.goto(mail);
  await page.click("#home");
  await look("Data & Privacy");
  await page.goto(mail);
  await page.click("button");
  await look("You may not do this");
  problems.length = 0; // the browser tells of the 403
  await page.goto(`${site}/`);
  await look("Data & Privacy");
  await press("Tab");
  assert.ok(await page.locator(".skip:focus").isVisible(), "the first stop skips to the content");
  await press("Tab", "Tab", "Enter"); // the name, and sign out
  await look("Sign in");
  await page.goto(`${site}/nowhere`);
  await look("Not found");
  problems.length = 0;

  // What cannot be is told, and what was typed is kept.
  await page.goto(`${site}/sign-in`);
  if (scripts) {
    await page.locator("main form").evaluate((f) => (f.noValidate = true)); // as an older browser
    await page.fill("#email", "pat@@example.com");
    await press("Enter");
    await page.waitForSelector("#email-wrong");
    await look("Sign in");
    assert.equal(await page.inputValue("#email"), "pat@@example.com");
    problems.length = 0; // the browser tells of the 400
  }
  await page.fill("#email", "pat@example.com");
  await press("Enter");
  await look("Look into your mail");

  // By the provider, and back to where one was going.
  await page.goto(`${site}/?from=there`);
  await page.click(".button");
  await page.fill("input[name=login]", "pat");
  await page.fill("input[name=password]", "any");
  await page.click("button[type=submit]");
  await page.click("text=Continue");
  await look("Data & Privacy");
  assert.equal(page.url(), `${site}/?from=there`);
  const cookies = (await context.cookies(site)).filter((c) => c.name.startsWith("lethe"));
  assert.deepEqual(cookies.map((c) => [c.name, c.httpOnly, c.sameSite]), [["lethe", true, "Lax"]]);
  assert.deepEqual(problems, []);
  await context.close();
}

async function main() {
  const browser = await chromium.launch({
    executablePath: env.LETHE_CHROMIUM,
    args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });
  try {
    await Promise.all([
      drive(browser, { scripts: true, scheme: "light" }),
      drive(browser, { scripts: true, scheme: "dark" }),
      drive(browser, { scripts: false, scheme: "light" }),
    ]);
  } finally {
    await browser.close();
  }
}

main().catch((err) => {
  console.error(err);
  process.exit(1);
});
