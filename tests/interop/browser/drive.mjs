// Opens the page in a browser that runs already, makes one call there, and prints its result as JSON.
//
//   MODULES=folder-with-node_modules node drive.mjs chromium|firefox ENDPOINT URL CALL ICE-SERVER OPTIONS
import { createRequire } from "node:module";

const require = createRequire(`${process.env.MODULES}/`);
const [browserName, endpoint, url, name, iceServer, options] = process.argv.slice(2);

const open = {
  // Playwright on the DevTools protocol
  async chromium() {
    const browser = await require("playwright-core").chromium.connectOverCDP(endpoint);
    return { page: await browser.contexts()[0].newPage(), leave: () => browser.close() };
  },
  // Puppeteer on WebDriver BiDi
  async firefox() {
    const browser = await require("puppeteer-core").connect({ browserWSEndpoint: endpoint, protocol: "webDriverBiDi" });
    return { page: await browser.newPage(), leave: () => browser.disconnect() };
  },
};

const { page, leave } = await open[browserName]();
page.on("console", message => console.error(`console: ${message.text()}`));
page.on("pageerror", error => console.error(`page: ${error}`));
await page.goto(url);
const result = await page.evaluate(([n, s, o]) => call(n, s, o), [name, JSON.parse(iceServer), JSON.parse(options)]);
console.log(JSON.stringify(result));
await page.close();
await leave();
