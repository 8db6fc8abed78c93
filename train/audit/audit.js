"use strict";
// Decisions of a person: {record: {decision, text}}. Labels and paths are texts of strangers: they
// are read from attributes and written as text only.
const { key, file } = document.currentScript.dataset;
const KINDS = ["label", "suggestion", "neither"];
const cards = [...document.querySelectorAll("[data-record]")];
const decisions = new Map();
const label = (card) => card.dataset.label;

function stored() {
  try {
    return localStorage;
  } catch {
    return null; // the browser keeps nothing of this page
  }
}

function load() {
  try {
    const known = new Map(cards.map((card) => [card.dataset.record, label(card)]));
    for (const [record, one] of Object.entries(JSON.parse(stored().getItem(key)) ?? {})) {
      // Another audit of the same dataset numbers its records alike.
      if (known.get(record) === one.label && KINDS.includes(one.decision)) {
        decisions.set(record, { ...one, text: String(one.text ?? "") });
      }
    }
  } catch {
    // What was kept cannot be read: nothing is decided yet.
  }
}

function keep() {
  let isKept = true;
  try {
    stored().setItem(key, JSON.stringify(Object.fromEntries(decisions)));
  } catch {
    isKept = false;
  }
  document.getElementById("kept").textContent = isKept
    ? "This browser keeps them when you close the page."
    : "This browser does not keep them: download before you close the page.";
}

function show() {
  for (const card of cards) {
    const one = decisions.get(card.dataset.record);
    for (const button of card.querySelectorAll("[data-decision]")) {
      button.setAttribute("aria-pressed", String(one?.decision === button.dataset.decision));
    }
    const input = card.querySelector("input");
    input.hidden = one?.decision !== "neither";
    if (document.activeElement !== input) {
      input.value = one?.text ?? "";
    }
    card.classList.toggle("decided-yes", one !== undefined);
  }
  const all = [...decisions.values()];
  const [right, read, neither] = KINDS.map((kind) => all.filter((one) => one.decision === kind));
  const left = neither.filter((one) => !one.text.trim()).length;
  document.getElementById("count").textContent = all.length
    ? `${all.length} decided: ${right.length} labels right, ${read.length} readings right, ` +
      `${neither.length} neither` + (left ? ` (${left} without a text: left out)` : "")
    : "Nothing is decided yet.";
  document.getElementById("download").disabled = !all.length;
  document.getElementById("clear").disabled = !all.length;
}

function decide(card, decision) {
  const record = card.dataset.record;
  if (decision === null) {
    decisions.delete(record);
  } else if (card.querySelector(`[data-decision="${decision}"]`)) {
    const text = decisions.get(record)?.text ?? "";
    decisions.set(record, { decision, text, label: label(card) });
  }
  show();
  keep();
}

function move(card, step) {
  const next = cards[cards.indexOf(card) + step];
  if (next) {
    next.focus({ preventScroll: true });
    next.scrollIntoView({ block: "nearest" });
  }
}

// As `csv_cell` does: no spreadsheet runs a cell that begins as a formula does.
function cell(text) {
  const runs = /^'*[=+\-@＝＋－＠]/.test(text) && text.length > 1;
  const isNumber = /^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?$/.test(text);
  return `"${(runs && !isNumber ? `'${text}` : text).replaceAll('"', '""')}"`;
}

function table() {
  const lines = [["path", "row", "split", "label", "decision", "text"]];
  const done = new Set();
  for (const card of cards) {
    const { record, path, row, split, suggestion } = card.dataset;
    const one = decisions.get(record);
    if (one && !done.has(record)) {
      done.add(record);
      const texts = { label: label(card), suggestion, neither: one.text.trim() };
      lines.push([path, row, split, label(card), one.decision, texts[one.decision]]);
    }
  }
  return lines.map((line) => line.map(cell).join(",") + "\n").join("");
}

function download() {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([table()], { type: "text/csv;charset=utf-8" }));
  link.download = file;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

for (const card of cards) {
  for (const button of card.querySelectorAll("[data-decision]")) {
    button.addEventListener("click", () => {
      const isPressed = button.getAttribute("aria-pressed") === "true";
      decide(card, isPressed ? null : button.dataset.decision);
      if (!card.querySelector("input").hidden) {
        card.querySelector("input").focus();
      }
    });
  }
  card.querySelector("input").addEventListener("input", (event) => {
    const one = decisions.get(card.dataset.record);
    if (one) {
      one.text = event.target.value;
      show();
      keep();
    }
  });
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) {
    return;
  }
  const card = document.activeElement.closest("[data-record]") ?? cards[0];
  if (!card) {
    return;
  }
  if (document.activeElement.tagName === "INPUT") {
    if (event.key === "Enter" || event.key === "Escape") {
      card.focus();
      if (event.key === "Enter") {
        move(card, 1);
      }
    }
    return;
  }
  const decision = { 1: "label", 2: "suggestion", 3: "neither", 0: null }[event.key];
  if (decision !== undefined) {
    event.preventDefault();
    decide(card, decision);
    const input = card.querySelector("input");
    if (!input.hidden) {
      input.focus();
    } else if (decision && decisions.has(card.dataset.record)) {
      move(card, 1);
    }
  } else if (event.key === "ArrowRight" || event.key === "ArrowLeft") {
    event.preventDefault();
    move(card, event.key === "ArrowRight" ? 1 : -1);
  }
});

document.getElementById("download").addEventListener("click", download);
document.getElementById("clear").addEventListener("click", () => {
  if (confirm("Forget all decisions?")) {
    decisions.clear();
    show();
    keep();
  }
});

load();
keep();
show();
