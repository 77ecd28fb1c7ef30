// The till in its real window, driven through WebDriver and seen on a screen of its own.
//
//   node tests/window/run.mjs [APP] [SERVER]
//
// APP and SERVER are the programs hanout-app and hanout-server (default: those in HANOUT_BIN_DIR, else in
// target/debug), built after ui/dist. Needs Xvfb, WebKitWebDriver, ImageMagick's import, and tauri-driver from
// HANOUT_TAURI_DRIVER, from where `make window` puts it, or from the PATH. Starts the screen itself; pictures go to target/window/. Prints
// `N passed, N failed`; exits with 1 when something failed. Ends only what it started.
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const target = process.env.CARGO_TARGET_DIR || join(root, 'target');
const tools = join(process.env.XDG_CACHE_HOME || join(process.env.HOME || '/', '.cache'), 'hanout', 'tools', 'bin');
const bin = process.env.HANOUT_BIN_DIR || join(target, 'debug');
const app = resolve(process.argv[2] || join(bin, 'hanout-app'));
const serverProgram = resolve(process.argv[3] || join(bin, 'hanout-server'));
const pictures = join(target, 'window');
const DEADLINE_MS = 60_000;
const WIDTH = 1366;
const HEIGHT = 768;

class Failure extends Error {}
const check = (holds, what) => { if (!holds) throw new Failure(what); };

/** Waits until `ask` answers something truthy; what it throws meanwhile is "not yet". */
async function until(what, ask, deadlineMs = DEADLINE_MS) {
  const end = Date.now() + deadlineMs;
  let last = '';
  for (;;) {
    try {
      const answer = await ask();
      if (answer) return answer;
    } catch (error) {
      last = ` (${error.message})`;
    }
    if (Date.now() > end) throw new Failure(`waited in vain: ${what}${last}`);
    await new Promise((go) => setTimeout(go, 50));
  }
}

function program(name, fallback) {
  const found = [fallback, ...(process.env.PATH || '').split(delimiter).map((folder) => join(folder, name))].find((path) => path && existsSync(path));
  check(found, `${name} is missing: make window installs it`);
  return found;
}

/** Starts a program as the leader of its own process group, so that what it starts in turn can be ended with it. */
const running = [];
function start(path, args, { env = {}, screen } = {}) {
  const stdio = ['ignore', 'pipe', 'pipe', ...(screen ? ['pipe'] : [])];
  const child = spawn(path, args, { stdio, detached: true, env: { ...process.env, ...env } });
  const one = { child, out: '', log: '', code: undefined };
  child.stdout.on('data', (part) => { one.out += part; });
  child.stderr.on('data', (part) => { one.log += part; });
  if (screen) child.stdio[3].on('data', (part) => { one.out += part; });
  one.gone = new Promise((go) => {
    child.on('error', (error) => { one.log += error.message; one.code = -1; go(); });
    child.on('exit', (code, signal) => { one.code = code ?? signal; go(); });
  });
  one.line = () => until(`${path} says that it is ready`, () => {
    if (one.code !== undefined) return 'ended';
    return one.out.includes('\n');
  }).then(() => {
    check(one.out.includes('\n'), `${path} ended with ${one.code}: ${one.log}`);
    return one.out.slice(0, one.out.indexOf('\n'));
  });
  running.push(one);
  return one;
}

/** Pids in the process group of `one`. */
function group(one) {
  return readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map(Number).filter((pid) => {
    try {
      // After the name, which may hold anything: state, parent, group.
      return Number(readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').pop().split(' ')[2]) === one.child.pid;
    } catch {
      return false;
    }
  });
}

async function stop(one) {
  const signal = (name) => { try { process.kill(-one.child.pid, name); } catch { /* all gone */ } };
  if (one.child.pid === undefined) return;
  signal('SIGTERM');
  const patient = await until('it ends', () => !group(one).length, 10_000).catch(() => false);
  if (!patient) signal('SIGKILL');
  await one.gone;
}

async function freePort() {
  const server = createServer();
  await new Promise((go) => server.listen(0, '127.0.0.1', go));
  const { port } = server.address();
  await new Promise((go) => server.close(go));
  return port;
}

/** The W3C WebDriver calls that are needed here. */
class Window {
  constructor(base, driver) {
    this.base = base;
    this.driver = driver;
  }

  async ask(method, path, body) {
    const response = await fetch(this.base + path, {
      method,
      headers: { 'Content-Type': 'application/json' },
      ...(body ? { body: JSON.stringify(body) } : {}),
      signal: AbortSignal.timeout(DEADLINE_MS),
    });
    const { value } = await response.json();
    if (!response.ok) throw new Failure(`${method} ${path}: ${value.error}: ${value.message}`);
    return value;
  }

  async open() {
    const alwaysMatch = { browserName: 'wry', 'tauri:options': { application: app } };
    const session = await this.ask('POST', '/session', { capabilities: { alwaysMatch } });
    this.path = `/session/${session.sessionId}`;
    await this.js(`window.seenFaults = [];
      const keep = (text) => window.seenFaults.push(String(text));
      addEventListener('error', (event) => keep(event.message));
      addEventListener('unhandledrejection', (event) => keep(event.reason));
      document.addEventListener('securitypolicyviolation', (event) => keep(event.violatedDirective + ' ' + event.blockedURI));`);
  }

  /** The app's own process. */
  pid() {
    return group(this.driver).find((pid) => {
      try { return readlinkSync(`/proc/${pid}/exe`) === app; } catch { return false; }
    });
  }

  /** Ends the app as its user does, and waits until it has written everything. */
  async quit() {
    const pid = this.pid();
    check(pid, 'the app runs');
    process.kill(pid, 'SIGTERM');
    await until('the app is gone', () => !this.pid());
    await this.close();
  }

  async close() {
    if (!this.path) return;
    const path = this.path;
    this.path = undefined;
    await this.ask('DELETE', path).catch(() => {});
    await until('the app is gone', () => !this.pid());
  }

  js(script, ...args) { return this.ask('POST', `${this.path}/execute/sync`, { script, args }); }
  later(script, ...args) { return this.ask('POST', `${this.path}/execute/async`, { script, args }); }

  find(id) { return this.ask('POST', `${this.path}/element`, { using: 'css selector', value: `[data-testid="${id}"]` }).then((found) => Object.values(found)[0]); }
  has(id) { return this.js('return !!document.querySelector(arguments[0])', `[data-testid="${id}"]`); }
  data(id, name) { return this.js('const el = document.querySelector(arguments[0]); return el ? el.getAttribute(arguments[1]) : null', `[data-testid="${id}"]`, `data-${name}`); }
  seen(id) { return until(`${id} is there`, () => this.has(id)); }
  calm() { return until('the screen takes taps', () => this.js('return !document.documentElement.hasAttribute("data-guard")')); }

  async tap(id) {
    await this.seen(id);
    await this.calm();
    await until(`${id} can be tapped`, async () => { await this.ask('POST', `${this.path}/element/${await this.find(id)}/click`, {}); return true; });
  }

  async pin(digits) {
    for (const digit of digits) await this.tap('pin-' + digit);
    await this.tap('pin-ok');
  }

  /** A wedge scanner: the keys of the code and Enter, in one go. */
  async scan(code) {
    await this.calm();
    const keys = [...code, '\uE007'].flatMap((value) => [{ type: 'keyDown', value }, { type: 'keyUp', value }]);
    await this.ask('POST', `${this.path}/actions`, { actions: [{ type: 'key', id: 'scanner', actions: keys }] });
  }

  /** What is on the screen once it stands still: the page is drawn a while after it has changed. */
  async shot(name) {
    const path = join(pictures, `${name}.png`);
    const take = async () => {
      const taken = start(program('import'), ['-window', 'root', path]);
      await taken.gone;
      check(taken.code === 0, `no picture of ${name}: ${taken.log}`);
      return readFileSync(path);
    };
    if (this.path) await this.later('const done = arguments[0]; document.fonts.ready.then(() => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))');
    let last = await take();
    await until(`${name} stands still`, async () => {
      const next = await take();
      const still = next.equals(last);
      last = next;
      return still;
    });
  }

  /** Nothing hangs over the edge. */
  async layout(where) {
    const bad = await this.js(`const found = [];
      if (document.documentElement.scrollWidth > innerWidth) found.push('the page scrolls sideways');
      document.querySelectorAll('button, input').forEach((el) => {
        const box = el.getBoundingClientRect();
        if (box.width && (box.left < -1 || box.right > innerWidth + 1)) found.push((el.dataset.testid || el.textContent) + ' is off screen');
      });
      return found;`);
    check(!bad.length, `${where}: ${bad.join('; ')}`);
  }

  async innocent() {
    const faults = await this.js('return window.seenFaults');
    check(Array.isArray(faults) && !faults.length, `the page complained: ${faults}`);
  }
}

/** Variants of the demo catalogue that La Marsa has in stock, as `{sku, gtin}`. */
function goods() {
  const rows = readFileSync(join(root, 'sync-server', 'demo', 'atlas-sport.csv'), 'utf8').trim().split(/\r?\n/).map((line) => line.split(','));
  const [head] = rows;
  const column = (name) => head.indexOf(name);
  const found = rows.slice(1).filter((row) => row.length === head.length && /^\d{8,14}$/.test(row[column('gtins')]) && Number(row[column('stock:LM')]) >= 3 && row[column('class')] === 'shelf');
  check(found.length > 60, 'the demo catalogue has goods in stock');
  return [0, 15, 30, 45, 60].map((i) => ({ sku: found[i][column('sku')], gtin: found[i][column('gtins')] }));
}

/** Head office, asked as its page asks. */
async function headOffice(demo) {
  const api = `${demo.server_url}/office/api/`;
  const login = await fetch(api + 'login', {
    method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ name: demo.admin, password: demo.password }),
  });
  check(login.ok, `head office does not let the administrator in: ${login.status}`);
  const cookie = login.headers.get('set-cookie').split(';')[0];
  const get = async (path) => {
    const response = await fetch(api + path, { headers: { Cookie: cookie } });
    check(response.ok, `${path}: ${response.status}`);
    return response.json();
  };
  return {
    stock: async (sku) => (await get(`stock?query=${encodeURIComponent(sku)}`)).rows.find((row) => row.sku === sku).quantities.LM,
    takings: async () => (await get('takings')).totals.find((total) => total.currency === 'TND')?.takings_minor ?? 0,
  };
}

let passed = 0;
let failed = 0;
async function step(name, work) {
  const began = Date.now();
  try {
    await work();
    passed += 1;
    process.stdout.write(`ok   ${name} (${((Date.now() - began) / 1000).toFixed(1)} s)\n`);
  } catch (error) {
    failed += 1;
    process.stdout.write(`FAIL ${name}: ${error.message}\n`);
    throw error;
  }
}

async function run(scratch) {
  for (const need of [app, serverProgram, join(root, 'ui', 'dist', 'till.html')]) check(existsSync(need), `${need} is missing: build ui/ and the programs first`);
  mkdirSync(pictures, { recursive: true });
  const screen = start(program('Xvfb'), ['-displayfd', '3', '-screen', '0', `${WIDTH}x${HEIGHT}x24`, '-nolisten', 'tcp', '-noreset'], { screen: true });
  process.env.DISPLAY = `:${(await screen.line()).trim()}`;
  // The programs see no other screen, no session of this machine, and no files of this user.
  for (const name of ['WAYLAND_DISPLAY', 'DBUS_SESSION_BUS_ADDRESS', 'HANOUT_SERVER', 'HANOUT_CODE']) delete process.env[name];
  Object.assign(process.env, { NO_AT_BRIDGE: '1', GDK_BACKEND: 'x11', XDG_RUNTIME_DIR: scratch });
  for (const [name, folder] of [['XDG_DATA_HOME', 'share'], ['XDG_CACHE_HOME', 'cache'], ['XDG_CONFIG_HOME', 'config']]) process.env[name] = join(scratch, folder);

  const server = start(serverProgram, ['--data', join(scratch, 'server'), '--json', 'demo', '--listen', '127.0.0.1:0']);
  const demo = JSON.parse(await server.line());
  const cashier = demo.users.find((user) => user.store === 'LM' && user.role === 'cashier');
  const code = demo.codes.find((one) => one.store === 'LM').code;
  const office = await headOffice(demo);
  const tillData = join(scratch, 'till');

  /** A driver, whose environment is that of the app it starts. */
  const driverFor = async (env) => {
    const [port, native] = [await freePort(), await freePort()];
    const driver = start(program('tauri-driver', process.env.HANOUT_TAURI_DRIVER || join(tools, 'tauri-driver')), ['--port', String(port), '--native-port', String(native), '--native-driver', program('WebKitWebDriver')], { env });
    const base = `http://127.0.0.1:${port}`;
    await until('the driver answers', async () => { check(driver.code === undefined, driver.log); return (await fetch(`${base}/status`)).ok; });
    return new Window(base, driver);
  };
  const window_ = await driverFor({ HANOUT_DATA_DIR: tillData, HANOUT_RECEIPTS_DIR: join(scratch, 'receipts'), HANOUT_SERVER: demo.server_url, HANOUT_CODE: code });
  const [parkedA, parkedB, ...sold] = goods();

  try {
    await step('the window opens, enrols by itself and asks who is there', async () => {
      await window_.open();
      await window_.seen('user-' + cashier.name);
      check(await window_.js('return document.title') === 'Hanout', 'the page has its title');
      const size = await window_.js('return innerWidth + "x" + innerHeight');
      check(size === `${WIDTH}x${HEIGHT}`, `the page is ${size}`);
      await window_.layout('sign-in');
      await window_.shot('1-sign-in');
    });

    await step('the page may call the till, and nothing else of the framework', async () => {
      const tried = await window_.later(`const done = arguments[arguments.length - 1];
        const asked = ['plugin:app|version', 'plugin:event|emit', 'plugin:window|close', 'plugin:webview|create_webview_window', 'plugin:path|resolve_directory', 'exit'];
        const internals = window.__TAURI_INTERNALS__;
        Promise.all(asked.map((name) => internals.invoke(name, { event: 'till-event', label: 'till', directory: 1 }).then(() => name, () => null))).then((all) => done(all.filter(Boolean)));`);
      check(!tried.length, `the page may also ask for ${tried}`);
      check(await window_.js('return typeof window.__TAURI__') === 'undefined', 'nothing is global');
      const inline = await window_.js(`const script = document.createElement('script');
        script.textContent = 'window.wasInline = true';
        document.head.appendChild(script);
        script.remove();
        return window.wasInline === true;`);
      check(!inline, 'an inline script runs');
      await until('the policy reports it', () => window_.js('return window.seenFaults.length === 1 && /script-src/.test(window.seenFaults[0])'));
      await window_.js('window.seenFaults = []');
    });

    await step('a wrong PIN is refused, the right one opens the shift', async () => {
      await window_.tap('user-' + cashier.name);
      await window_.pin([...cashier.pin].reverse().join(''));
      await window_.seen('pin-error');
      await window_.pin(cashier.pin);
      await window_.seen('open-shift-go');
      await window_.tap('count-20000-plus');
      await window_.tap('count-10000-plus');
      await window_.shot('2-open-shift');
      await window_.tap('open-shift-go');
      await window_.seen('charge');
    });

    await step('a cart is parked', async () => {
      await window_.scan(parkedA.gtin);
      await window_.seen('line-1');
      await window_.scan(parkedB.gtin);
      await window_.seen('line-2');
      await window_.tap('park');
      await until('the cart is empty', async () => !await window_.has('line-1'));
    });

    let total = 0;
    const before = [];
    const takings = await office.takings();
    await step('three scanned items make a cart', async () => {
      for (const [i, item] of sold.entries()) {
        before.push(await office.stock(item.sku));
        await window_.scan(item.gtin);
        await window_.seen('line-' + (i + 1));
        check(await window_.data('line-' + (i + 1), 'sku') === item.sku, `line ${i + 1} is ${item.sku}`);
      }
      check(await window_.data('cart-units', 'units') === '3000', 'three units are in the cart');
      total = Number(await window_.data('cart-total', 'minor'));
      check(total > 0, 'the cart has a total');
      await window_.layout('sale');
      await window_.shot('3-sale');
    });

    let number = '';
    await step('cash exact in two taps, and the receipt is there', async () => {
      await window_.tap('charge');
      await window_.tap('tender-exact');
      await window_.seen('change-due');
      check(await window_.data('change-due', 'minor') === '0', 'exact cash gives no change');
      number = await window_.js('return document.querySelector(\'[data-testid="receipt-number"]\').textContent');
      await window_.shot('4-change');
      await window_.tap('see-receipt');
      await until('the receipt is drawn', () => window_.js('const img = document.querySelector(\'[data-testid="receipt-png"]\'); return !!img && img.complete && img.naturalWidth >= 300 && img.naturalHeight > 200'));
      await window_.shot('5-receipt');
      const isPicture = (name) => name.endsWith('.png') && name.includes(number.replace(/[^\w-]/g, '').slice(-6));
      await until(`the printer wrote ${number}`, () => readdirSync(join(scratch, 'receipts')).some(isPicture));
      await window_.tap('back');
      await window_.tap('new-sale');
      await window_.seen('charge');
    });

    await step('the sale reaches head office, where stock falls and takings rise', async () => {
      await until('the pill says synchronised', async () => await window_.data('sync-pill', 'state') === 'online' && await window_.data('sync-pill', 'unsynced') === '0');
      for (const [i, item] of sold.entries()) await until(`stock of ${item.sku} falls by one`, async () => await office.stock(item.sku) === before[i] - 1000);
      check(await office.takings() - takings === total, 'takings rose by the sale');
      await window_.innocent();
      await window_.shot('6-synchronised');
    });

    await step('quit and restarted, the till still has the parked cart', async () => {
      await window_.quit();
      await window_.open();
      await until('a screen is there', async () => await window_.has('charge') || await window_.has('user-' + cashier.name));
      if (!await window_.has('charge')) {
        await window_.tap('user-' + cashier.name);
        await window_.pin(cashier.pin);
      }
      await window_.seen('charge');
      check(!await window_.has('line-1'), 'the sold cart is gone');
      await window_.tap('recall');
      await window_.tap('parked-0');
      await window_.seen('line-2');
      for (const [i, item] of [parkedA, parkedB].entries()) check(await window_.data('line-' + (i + 1), 'sku') === item.sku, `line ${i + 1} is ${item.sku}`);
      await window_.shot('7-recalled');
    });

    await step('in Arabic it reads from right to left', async () => {
      await window_.tap('menu');
      await window_.tap('lang-ar');
      await until('the direction follows', () => window_.js('return document.documentElement.dir === "rtl" && document.documentElement.lang === "ar"'));
      await window_.tap('sheet-close');
      await until('the menu is gone', async () => !await window_.has('sheet-close'));
      await window_.calm();
      await window_.layout('Arabic');
      await window_.shot('8-arabic');
      await window_.innocent();
    });

    await step('a second window on the same data says so in three languages and fails', async () => {
      await refused('in_use', tillData, '9-in-use', driverFor);
      check(await window_.has('charge'), 'the first window goes on');
    });
    await step('a signal ends the app like a closed window', async () => {
      await window_.close();
      const one = start(app, [], { env: { HANOUT_DATA_DIR: tillData, HANOUT_LOG: 'hanout_app=info' } });
      await until('the till is open', () => one.log.includes('the window is open'));
      process.kill(one.child.pid, 'SIGTERM');
      await until('it ends', () => one.code !== undefined);
      check(one.code === 0, `it ended with ${one.code}: ${one.log}`);
      check(!existsSync(join(tillData, 'ledger.db-wal')), 'the ledger is closed');
    });
    await step('a data folder that cannot be used says so and fails', async () => {
      writeFileSync(join(scratch, 'file'), 'not a folder');
      await refused('folder', join(scratch, 'file', 'till'), '10-folder', driverFor);
    });
    await step('a damaged ledger says so, fails, and is left alone', async () => {
      const damaged = join(tillData, 'ledger.db');
      writeFileSync(damaged, 'x'.repeat(8192));
      await refused('damaged', tillData, '11-damaged', driverFor);
      check(readFileSync(damaged, 'utf8') === 'x'.repeat(8192), 'the file was touched');
    });
    await step('without a display it says so and fails', async () => {
      for (const DISPLAY of ['', ':65000']) {
        const one = start(app, [], { env: { DISPLAY, HANOUT_DATA_DIR: join(scratch, 'unseen') } });
        await until('it ends', () => one.code !== undefined);
        check(one.code === 1 && /no display/.test(one.log) && !/panicked/.test(one.log), `it ended with ${one.code}: ${one.log}`);
      }
    });
  } catch (error) {
    if (window_.path) await window_.shot('failed').catch(() => {});
    throw error;
  }
}

/** The app on `folder` shows the page of `fault`, and ends with 1 and the reason on standard error. */
async function refused(fault, folder, picture, driverFor) {
  const other = await driverFor({ HANOUT_DATA_DIR: folder });
  try {
    await other.open();
    await until('the page says why', () => other.js('return document.body && document.body.dataset.fault === arguments[0]', fault));
    check(await other.js('return [...document.querySelectorAll("section")].map((el) => el.lang + " " + el.dir).join()') === 'fr ltr,ar rtl,en ltr', 'three languages');
    await other.shot(picture);
  } finally {
    await other.close();
    await stop(other.driver);
  }
  const one = start(app, [], { env: { HANOUT_DATA_DIR: folder } });
  await until('it says why', () => one.log.includes('there is no till'));
  process.kill(one.child.pid, 'SIGTERM');
  await until('it ends', () => one.code !== undefined);
  check(one.code === 1 && one.log.includes('hanout-app: ') && !one.log.includes('panicked'), `it ended with ${one.code}: ${one.log}`);
}

const scratch = mkdtempSync(join(tmpdir(), 'hanout-window-'));
process.env.HANOUT_WITNESS_DIR = join(scratch, 'witness');
let cleaning;
const clean = () => {
  cleaning ||= (async () => {
    // The last started first: the screen goes last.
    for (const one of running.reverse()) await stop(one);
    rmSync(scratch, { recursive: true, force: true });
  })();
  return cleaning;
};
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => clean().then(() => process.exit(130)));
try {
  await run(scratch);
} catch (error) {
  if (!failed) {
    failed += 1;
    process.stdout.write(`FAIL set-up: ${error.message}\n`);
  }
  for (const one of running) if (one.log.trim()) process.stdout.write(`  ${one.child.spawnfile}: ${one.log.trim().split('\n').slice(-8).join('\n  ')}\n`);
} finally {
  await clean();
}
process.stdout.write(`${passed} passed, ${failed} failed\n`);
process.exitCode = failed || !passed ? 1 : 0;
