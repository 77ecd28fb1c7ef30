// Draws the head office page over made-up answers: `node test/office-screens.mjs [DIR]`.
import { mkdirSync } from 'node:fs';
import { chromium } from 'playwright-core';
import { serve, VARIANTS } from './mock-door.mjs';

const out = process.argv[2] || '../target/screens';
mkdirSync(out, { recursive: true });
const places = { LM: { fr: 'Tunis La Marsa', ar: 'تونس المرسى', en: 'Tunis La Marsa' }, TC: { fr: 'Tunis Centre', ar: 'تونس وسط المدينة', en: 'Tunis Centre' }, CA: { fr: 'Casablanca', ar: 'الدار البيضاء', en: 'Casablanca' }, WEB: { fr: 'Boutique en ligne', ar: 'المتجر الإلكتروني', en: 'Online shop' } };
let known = false;
const office = (request, path, body) => {
  if (path === 'login') {
    known = JSON.parse(body).password === 'atlas';
    return known ? [200, { tenant: 'atlas', chain: 'Atlas Sport', name: 'siege' }] : [401, { code: 'wrong_password' }];
  }
  if (!known) return [401, { code: 'sign_in' }];
  if (path === 'me') return [200, { tenant: 'atlas', chain: 'Atlas Sport', name: 'siege' }];
  if (path === 'stock') {
    const query = (new URL(request.url, 'http://x').searchParams.get('query') || '').toLowerCase();
    const rows = VARIANTS.filter((v) => JSON.stringify(v).toLowerCase().includes(query)).map((v, i) => ({ variant: v.variant, sku: v.sku, style: v.sku.slice(0, 7), names: v.names, brand: v.brand, category: '', options: v.options.split(' / ').filter(Boolean).map((value) => ({ name: '', value })), quantities: { LM: v.stock === null ? 0 : v.stock, TC: 6000, ...(i % 3 ? { CA: 11000 } : {}) } }));
    return [200, { locations: Object.keys(places), location_names: places, rows, total: rows.length, offset: 0 }];
  }
  if (path === 'takings') return [200, { date: '2026-11-22', stores: places, totals: [{ currency: 'TND', receipts: 61, reversals: 1, takings_minor: 7480260, units: 143000 }, { currency: 'MAD', receipts: 22, reversals: 0, takings_minor: 1849900, units: 51000 }],
    rows: [['LM', '01', 'TND', 34, 1, 4230120, 80000], ['LM', '02', 'TND', 12, 0, 1100140, 24000], ['TC', '01', 'TND', 15, 0, 2150000, 39000], ['CA', '01', 'MAD', 22, 0, 1849900, 51000]].map(([store, till, currency, receipts, reversals, takings_minor, units]) => ({ date: '2026-11-22', store, till, currency, receipts, reversals, takings_minor, units })) }];
  if (path === 'tills') return [200, { server_time: 0, rows: [['LM', '01', 2000, 0, null, 0, false], ['LM', '02', 43 * 60000, 12, 42 * 60000, 0, false], ['TC', '01', 8000, 1, 3000, 0, false], ['CA', '01', 1000, 0, null, 2, false], ['CA', '02', 9 * 86400000, 0, null, 0, true]].map(([store, till, contact_age_ms, unsynced, oldest_age_ms, quarantined, revoked]) => ({ store, till, device: store + till, contact_age_ms, head_seq: 10, unsynced, oldest_age_ms, quarantined, revoked, app: '0.1.0' })) }];
  return [204, null];
};
const server = await serve('dist', () => null, office);
const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--disable-quic'] });
const problems = [];
for (const lang of ['fr', 'ar']) for (const [size, width, height] of [['desk', 1366, 768], ['phone', 360, 720]]) {
  known = false;
  const context = await browser.newContext({ viewport: { width, height } });
  await context.addInitScript((code) => { if (location.protocol === 'http:') localStorage.setItem('hanout.lang', code); }, lang);
  const page = await context.newPage();
  page.on('pageerror', (error) => problems.push(`${lang}: ${error}`));
  await page.goto(`http://127.0.0.1:${server.address().port}/office.html`);
  const shot = async (name) => { await page.evaluate(() => document.fonts.ready); await page.screenshot({ path: `${out}/office-${size}-${lang}-${name}.png` }); };
  await page.fill('[data-testid="office-user"]', 'siege');
  await page.fill('[data-testid="office-password"]', 'faux');
  await page.click('[data-testid="office-sign-in"]');
  await page.waitForSelector('[data-testid="office-error"]');
  await shot('1-door');
  await page.fill('[data-testid="office-password"]', 'atlas');
  await page.click('[data-testid="office-sign-in"]');
  await page.waitForSelector('[data-testid="stock-row-TRL-ATL-1042"]');
  await shot('2-stock');
  await page.click('[data-testid="tab-takings"]');
  await page.waitForSelector('[data-testid="takings-total-TND"]');
  await shot('3-takings');
  await page.click('[data-testid="tab-tills"]');
  await page.waitForSelector('[data-testid="till-row-LM-01"]');
  await shot('4-tills');
  await context.close();
}
await browser.close();
server.close();
process.stdout.write((problems.join('\n') || 'no problems') + '\n');
