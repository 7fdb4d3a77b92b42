// Keys, and how many cases are chosen: every page works without this file.
"use strict";
(() => {
  let here = -1;
  const rows = () => [...document.querySelectorAll("[data-row]")];
  const move = (by) => {
    const all = rows();
    if (!all.length) return;
    here = Math.max(0, Math.min(all.length - 1, here + by));
    all.forEach((row, i) => row.classList.toggle("here", i === here));
    const link = all[here].querySelector("a");
    link.focus({ preventScroll: true });
    all[here].scrollIntoView({ block: "nearest" });
  };
  const press = (selector) => { const one = document.querySelector(selector); if (one) one.click(); return Boolean(one); };
  const focus = (selector) => { const one = document.querySelector(selector); if (one) one.focus(); return Boolean(one); };
  const keys = {
    j: () => move(1), k: () => move(-1),
    "/": () => focus("#q"), n: () => press("#next"), q: () => press(".bar a[data-key=q]"),
    c: () => focus("button[data-key=c]"), d: () => focus("button[data-key=d]"),
    t: () => press("button[data-key=t]"), e: () => press("button[data-key=e]"), m: () => focus("#note"),
    o: () => press(".bar a[data-key=o]"), u: () => press("#undo"),
    x: () => { const box = rows()[here]?.querySelector("[name=case]"); if (box) box.click(); },
    a: () => press("#choose-all"),
    C: () => focus(".has-chosen [data-bulk=C]"), D: () => focus(".has-chosen [data-bulk=D]"),
    r: () => { location.assign(location.pathname + location.search.replace(/[?&](did|batch)=[^&]*/g, "").replace(/^&/, "?")); },
    "?": () => document.getElementById("help")?.showModal(),
  };
  const counted = (number, one, many) => `${number} ${number === 1 ? one : many}`;
  const chosen = () => {
    const all = rows(), picked = all.filter((row) => row.querySelector("[name=case]")?.checked);
    const sum = (name) => picked.reduce((total, row) => total + Number(row.dataset[name]), 0);
    document.body.classList.toggle("has-chosen", picked.length > 0);
    all.forEach((row) => row.classList.toggle("picked", picked.includes(row)));
    const head = document.getElementById("choose-all");
    head.checked = picked.length === all.length;
    head.indeterminate = picked.length > 0 && picked.length < all.length;
    document.getElementById("chosen-cases").textContent = counted(picked.length, "case chosen", "cases chosen");
    const money = sum("amount").toLocaleString("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
    document.getElementById("chosen-money").textContent = `${counted(sum("payments"), "payment", "payments")} of ${money}`;
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    const typing = event.target.closest("input:not([type=checkbox]), textarea, select");
    if (event.key === "Escape" && typing) { typing.blur(); return; }
    if (typing || document.querySelector("dialog[open]") || !Object.hasOwn(keys, event.key)) return;
    event.preventDefault();
    keys[event.key]();
  });
  document.addEventListener("submit", (event) => {
    // one click, one action: a second one while the first is on its way does nothing
    if (event.target.dataset.sent) { event.preventDefault(); return; }
    if (event.target.method === "post" && !("again" in event.target.dataset)) event.target.dataset.sent = "1";
  });
  window.addEventListener("pageshow", () => { if (document.getElementById("bulk")) chosen(); });
  window.addEventListener("pageshow", () => document.querySelectorAll("form[data-sent]").forEach((form) => delete form.dataset.sent));
  document.documentElement.classList.add("js");
  document.addEventListener("DOMContentLoaded", () => {
    document.getElementById("help-open")?.addEventListener("click", () => document.getElementById("help").showModal());
    document.getElementById("conflict")?.focus();
    document.getElementById("bulk")?.addEventListener("change", (event) => {
      if (event.target.id === "choose-all") rows().forEach((row) => { row.querySelector("[name=case]").checked = event.target.checked; });
      if (event.target.type === "checkbox") chosen();
    });
    document.querySelectorAll("[data-copy]").forEach((button) => {
      if (!navigator.clipboard) return;
      button.hidden = false;
      button.addEventListener("click", async () => {
        await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).value);
        button.textContent = "Copied";
      });
    });
    document.querySelectorAll("[data-into]").forEach((chosen) => {
      chosen.closest("[data-file]").hidden = false;
      chosen.addEventListener("change", async () => {
        if (chosen.files.length) document.getElementById(chosen.dataset.into).value = await chosen.files[0].text();
      });
    });
    document.querySelectorAll(".filters select").forEach((one) => one.addEventListener("change", () => one.form.requestSubmit()));
  });
})();
