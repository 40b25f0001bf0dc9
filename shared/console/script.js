"use strict";

// A button beside each field that was made to be copied from.
for (const field of document.querySelectorAll("[data-copy]")) {
  const button = document.createElement("button");
  const told = document.createElement("span");
  const row = document.createElement("p");
  button.type = "button";
  button.className = "second";
  button.textContent = "Copy";
  button.setAttribute("aria-label", `Copy: ${field.dataset.copy}`);
  told.setAttribute("role", "status");
  button.addEventListener("click", async () => {
    field.select();
    try {
      await navigator.clipboard.writeText(field.value);
      told.textContent = "Copied.";
    } catch {
      told.textContent = "It is selected: copy it by the keyboard.";
    }
  });
  row.className = "row";
  row.append(button, told);
  field.after(row);
}

// What counts only under the CCPA is hidden under the GDPR, and not sent then. What was
// typed there is there again when somebody changes their mind.
function hide() {
  const gdpr = document.getElementById("compliance-gdpr")?.checked;
  for (const part of document.querySelectorAll(".ccpa")) {
    part.hidden = gdpr;
    for (const control of part.querySelectorAll("input, select")) control.disabled = gdpr;
  }
}

// The second of two clicks sends nothing: the answer to the first may have a secret that
// is shown once.
function once(event) {
  const { dataset, method } = event.target;
  if (method !== "post") return;
  if (dataset.sent) event.preventDefault();
  dataset.sent = "1";
  setTimeout(() => delete dataset.sent, 3000); // the answer may never come
}

document.addEventListener("change", hide);
document.addEventListener("submit", once);
window.addEventListener("pageshow", hide); // also of a page that was gone back to

// A part of the page that tells how requests stand fetches itself again, as long as it
// says every how many seconds. Where somebody is in it, and how far they have moved a
// table, stays; while something is typed there, all of it does.
function update() {
  const part = document.getElementById("live");
  const every = part && Number(part.dataset.every);
  if (!every) return;
  setTimeout(async () => {
    if (!document.hidden) await fetched(part).catch(() => {}); // the next one may get through
    update();
  }, every * 1000);
}

async function fetched(part) {
  const answer = await fetch(part.dataset.from);
  if (answer.status >= 500) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const next = page.getElementById("live");
  if (!next) {
    delete part.dataset.every; // signed out, or gone: the link to reload tells
    return;
  }
  const said = next.dataset.says;
  const news = part.dataset.says !== said;
  const at = part.contains(document.activeElement) && document.activeElement.id;
  const moved = [...part.querySelectorAll(".table")].map((t) => t.scrollLeft);
  const typed = [...part.querySelectorAll("input")].some((i) => i.value !== i.defaultValue);
  if (typed) return;
  if (next.innerHTML !== part.innerHTML) {
    part.replaceChildren(...next.childNodes);
    part.querySelectorAll(".table").forEach((t, i) => (t.scrollLeft = moved[i] || 0));
    if (at) document.getElementById(at)?.focus();
  }
  part.dataset.says = said;
  part.dataset.every = next.dataset.every || "";
  if (news) document.getElementById("said").textContent = said;
}

update();
