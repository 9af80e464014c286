// What pages cannot do by themselves: copying, following what happens, and completing a filter.
// Every page works without it.
"use strict";

// A button that copies the field before it.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-copy]");
  if (!button) return;
  const field = document.getElementById(button.dataset.copy);
  const said = document.getElementById("said");
  try {
    await navigator.clipboard.writeText(field.value);
    button.textContent = "Copied";
    if (said) said.textContent = `${button.dataset.name} copied`;
  } catch {
    // No clipboard over plain http from another machine: the text is selected, to be copied by hand.
    field.select();
    button.textContent = "Press Ctrl+C";
  }
  setTimeout(() => { button.textContent = "Copy"; }, 2000);
});

// Parts of the page that are fetched anew while somebody looks.
const live = () => [...document.querySelectorAll("[data-live]")];
let failures = 0;
async function refresh() {
  if (document.hidden) return true;
  try {
    const response = await fetch(location.href, { headers: { "x-muster-follow": "1" } });
    if (response.redirected) {
      // The session is over: what stands there is not what is.
      document.getElementById("said").textContent = "You are signed out; the page no longer follows.";
      return false;
    }
    if (!response.ok) throw new Error(String(response.status));
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    for (const part of live()) {
      const fresh = page.getElementById(part.id);
      // What somebody holds in focus is left as it is.
      if (fresh && fresh.innerHTML !== part.innerHTML && !part.contains(document.activeElement)) {
        part.innerHTML = fresh.innerHTML;
      }
    }
    failures = 0;
  } catch {
    failures += 1;
  }
  return true;
}
function follow() {
  if (live().length === 0) return;
  const seconds = Math.max(...live().map((part) => Number(part.dataset.live)));
  // A server that does not answer is asked less and less often.
  setTimeout(async () => { if (await refresh()) follow(); }, seconds * 1000 * Math.min(2 ** failures, 32));
}
follow();

// A filter is completed word by word: the browser shows what the list has for the whole text.
const box = document.querySelector("input[data-complete]");
if (box) {
  const list = document.getElementById(box.getAttribute("list"));
  const names = box.dataset.complete.split(" ");
  const operators = ["eq", "ne", "co", "sw", "ew", "pr", "gt", "ge", "lt", "le"];
  const joins = ["and", "or"];
  const offer = () => {
    const at = box.value.lastIndexOf(" ") + 1;
    const [before, word] = [box.value.slice(0, at), box.value.slice(at)];
    const words = before.replace(/"(\\.|[^"\\])*"/g, '""').trim().split(/[\s([]+/).filter(Boolean);
    const last = words.at(-1);
    let next = names;
    if (last && names.includes(last)) next = operators;
    else if (last === '""' || last === "true" || last === "false" || last === "pr") next = joins;
    else if (last && operators.includes(last)) next = [];
    const open = word.match(/^[([]*/)[0];
    const typed = word.slice(open.length).toLowerCase();
    list.replaceChildren(...next.filter((name) => name.toLowerCase().startsWith(typed)).slice(0, 12)
      .map((name) => Object.assign(document.createElement("option"), { value: before + open + name })));
  };
  box.addEventListener("input", offer);
  box.addEventListener("focus", offer);
}

// A link's secret stands behind the # of the address: it is put into the form, and taken out of sight.
const opening = document.getElementById("opening");
if (opening && location.hash.length > 1) {
  document.getElementById("code").value = location.hash.slice(1);
  history.replaceState(null, "", location.pathname);
  opening.requestSubmit();
}
