"use strict";
// Two tabs by the pattern of the ARIA guide: arrows go from one to the other, Tab goes into the panel.

class Tabs {
  /** `choose(name)` is told of a choice; the names are those of the tabs' `data-tab`. */
  constructor(list, choose) {
    this.tabs = [...list.querySelectorAll("[role=tab]")];
    for (const tab of this.tabs) {
      tab.addEventListener("click", () => choose(tab.dataset.tab));
      tab.addEventListener("keydown", (event) => this.#key(event, choose));
    }
  }

  get names() {
    return this.tabs.map((tab) => tab.dataset.tab);
  }

  show(name) {
    for (const tab of this.tabs) {
      const chosen = tab.dataset.tab === name;
      tab.setAttribute("aria-selected", String(chosen));
      tab.tabIndex = chosen ? 0 : -1;
      document.getElementById(tab.getAttribute("aria-controls")).hidden = !chosen;
    }
  }

  #key(event, choose) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const place = (this.tabs.indexOf(event.target) + step + this.tabs.length) % this.tabs.length;
    this.tabs[place].focus();
    choose(this.tabs[place].dataset.tab);
    event.preventDefault();
  }
}
