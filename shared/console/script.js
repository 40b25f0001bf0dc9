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
