// A till made of a few objects, for looking at the screens and for component tests. It is not the till: its sums
// are only as good as a picture needs, and it never ships.
import { deflateSync, crc32 as nodeCrc32 } from 'node:zlib';
import { createServer } from 'node:http';
import { readFileSync } from 'node:fs';
import { extname, join } from 'node:path';

function crc32(bytes) {
  if (nodeCrc32) return nodeCrc32(bytes);
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let k = 0; k < 8; k++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  return ~crc >>> 0;
}

function chunk(type, data) {
  const body = Buffer.concat([Buffer.from(type), data]);
  const out = Buffer.alloc(body.length + 8);
  out.writeUInt32BE(data.length, 0);
  body.copy(out, 4);
  out.writeUInt32BE(crc32(body), body.length + 4);
  return out;
}

/** A grey picture of a paper with lines of print. */
export function paperPng(width = 384, height = 560) {
  const rows = Buffer.alloc((width + 1) * height, 255);
  for (let y = 0; y < height; y++) {
    rows[y * (width + 1)] = 0;
    const line = Math.floor(y / 28);
    if (y % 28 > 10 && y % 28 < 20) for (let x = 0; x < width; x++) {
      const word = (x * 7 + line * 31) % 97;
      const edge = line === 0 ? x > 110 && x < 270 : line % 5 === 4 ? x > 20 && x < 364 : (x > 20 && x < 60 + (line * 53) % 170) || (x > 290 && x < 364);
      if (edge && (line % 5 === 4 ? y % 28 === 15 : word > 18)) rows[y * (width + 1) + 1 + x] = 30;
    }
  }
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  head[8] = 8;
  return Buffer.concat([Buffer.from([137, 80, 78, 71, 13, 10, 26, 10]), chunk('IHDR', head), chunk('IDAT', deflateSync(rows)), chunk('IEND', Buffer.alloc(0))]).toString('base64');
}

const V = (sku, fr, ar, en, options, price, stock, gtin, brand = 'Atlas') => ({
  variant: '00000000-0000-4000-8000-' + sku.replace(/\D/g, '').padStart(12, '0'), sku, names: { fr, ar, en }, options, brand, gtin, price_minor: price, stock, class: stock === null ? 'untracked' : 'shelf',
});
export const VARIANTS = [
  V('TRL-ATL-1042', 'Chaussure Trail Atlas', 'حذاء تريل أطلس', 'Atlas trail shoe', '42 / Noir', 189990, 4000, '06130000000370'),
  V('TRL-ATL-1043', 'Chaussure Trail Atlas', 'حذاء تريل أطلس', 'Atlas trail shoe', '43 / Noir', 189990, 7000, '06130000000387'),
  V('RUN-SAH-2001', 'Maillot Running Sahel', 'قميص جري ساحل', 'Sahel running shirt', 'L / Bleu', 59990, 12000, '06130000000394'),
  V('RUN-SAH-2002', 'Maillot Running Sahel', 'قميص جري ساحل', 'Sahel running shirt', 'M / Bleu', 59990, 3000, '06130000000400'),
  V('BAL-MED-3005', 'Ballon Medina T5', 'كرة مدينة', 'Medina ball size 5', 'Taille 5', 61998, 0, '06130000000417'),
  V('FBT-RAM-4041', 'Chaussures de football Rami Pro', 'حذاء كرة قدم رامي برو', 'Rami Pro football boots', 'Noir / 41 / Terrain sec', 289000, 7000, '06130000000424'),
  V('FBT-RAM-4042', 'Chaussures de football Rami Pro', 'حذاء كرة قدم رامي برو', 'Rami Pro football boots', 'Noir / 42 / Synthétique', 289000, 1000, '06130000000431'),
  V('RAQ-CAR-5001', 'Raquette de tennis Carthage 280 g', 'مضرب تنس قرطاج 280 غ', 'Carthage tennis racket 280 g', 'Manche 3', 349500, 2000, '06130000000448'),
  V('GOU-OAS-6001', 'Gourde isotherme Oasis', 'قارورة حافظة واحة', 'Oasis insulated bottle', '750 ml / Sable', 45900, 26000, '06130000000455'),
  V('SAC-SOU-7001', 'Sac à dos Souk 25 L', 'حقيبة ظهر سوق 25 ل', 'Souk backpack 25 L', 'Kaki', 119000, 9000, '06130000000462'),
  V('LAC-PAI-8001', 'Lacets 120 cm', 'أربطة 120 صم', 'Laces 120 cm', 'Blanc', 4500, 140000, '06130000000479'),
  V('COR-RAQ-9001', 'Cordage de raquette (pose comprise)', 'شدّ أوتار المضرب', 'Racket stringing (fitting included)', '', 38000, null, ''),
  V('JOG-ZAY-9101', 'Pantalon de jogging Zaytouna', 'سروال رياضي زيتونة', 'Zaytouna jogging trousers', 'XL / Gris chiné', 79900, -1000, '06130000000486'),
];

const uuid = (n) => '10000000-0000-4000-8000-' + String(n).padStart(12, '0');

export class MockTill {
  constructor(options = {}) {
    this.enrolment = options.enrolment || { state: 'enrolled' };
    this.ready = options.ready !== false;
    this.user = null;
    this.shifts = {};
    this.drawer = 1;
    this.drawers = options.drawers || 1;
    this.blind = !!options.blind;
    this.kept = [];
    this.zs = 0;
    this.notice = options.notice || null;
    this.storage = { encrypted: true, key_storage: 'software', last_backup_at: null, backups: 0, disk_free_mb: 5120, low_disk: false, full: false, read_only: false, working: false, last_check: null, problem: null, ...options.storage };
    this.slips = 0;
    this.sync = { state: 'online', unsynced: 0, oldest_age_ms: null, last_contact_age_ms: 1200, problem: null, ...options.sync };
    this.settings = { language: options.language || 'fr', receipt_language: null, printer: { type: 'file' }, profile: 'generic-80' };
    this.users = [
      { user: uuid(1), name: 'Amira', role: 'cashier', blocked: false }, { user: uuid(2), name: 'Yassine', role: 'cashier', blocked: !!options.blocked },
      { user: uuid(3), name: 'Leïla', role: 'manager', blocked: false },
    ];
    this.pins = { [uuid(1)]: '2580', [uuid(2)]: '1470', [uuid(3)]: '369258' };
    this.wrong = 0;
    this.parked = [];
    this.receipts = [];
    this.jobs = options.jobs || [];
    this.printer = { queued: 0, uncertain: this.jobs.length, problem: null };
    this.sales = 0;
    this.calls = [];
    this.newCart();
  }
  /** The open shift of the drawer in use. */
  get shift() { return this.shifts[this.drawer] || null; }
  shiftView(shift) {
    const { drawer, holder, holder_name, business_date, opened_at, opened_by, receipts } = shift;
    return { drawer, holder, holder_name, business_date, opened_at, opened_by, receipts };
  }
  hidden() { return this.blind && this.user.role === 'cashier'; }
  expected() { const m = this.shift.moved; return this.shift.float + this.takings() + (m.pay_in || 0) - (m.pay_out || 0) - (m.drop || 0); }
  takings() { return this.receipts.filter((r) => r.drawer === this.drawer).reduce((a, r) => a + r.total_minor, 0); }
  slip(movement, amount_minor, reason) {
    this.slips += 1;
    return { ok: { type: 'Slip', number: 'LM-01-7K3QX-2026-B' + String(this.slips).padStart(5, '0'), movement, amount_minor, reason, job: null } };
  }
  newCart() {
    this.sales += 1;
    this.cart = { sale: uuid(1000 + this.sales), lines: [], removed: [], touched: null, discount: { type: 'none' }, tenders: [], next: 1 };
  }
  view(cart = this.cart) {
    const off = (d, base) => d.type === 'percent' ? Math.round(base * d.bp / 10000) : d.type === 'amount' ? d.minor : 0;
    const lines = cart.lines.map((l) => {
      const gross = Math.round(l.unit * l.quantity / 1000);
      const discount_minor = off(l.discount, gross);
      return { line: l.line, variant: l.v.variant, sku: l.v.sku, names: l.v.names, options: l.v.options, quantity: l.quantity, unit_minor: l.unit, list_minor: l.v.price_minor, discount_minor, discount: l.discount, total_minor: gross - discount_minor };
    });
    const subtotal_minor = lines.reduce((a, l) => a + l.total_minor, 0);
    const cart_discount_minor = off(cart.discount, subtotal_minor);
    const goods = subtotal_minor - cart_discount_minor;
    const levies = this.levy && lines.length ? [{ code: 'stamp', minor: 100 }] : [];
    const total_minor = goods + levies.reduce((a, l) => a + l.minor, 0);
    const net = Math.round(goods / 1.19);
    const due_minor = total_minor - cart.tenders.reduce((a, x) => a + x.amount_minor, 0);
    const notes = [10000, 20000, 50000, 100000].map((n) => Math.ceil((due_minor + 1) / n) * n).filter((n, i, all) => all.indexOf(n) === i);
    const warnings = cart.lines.filter((l) => l.v.stock !== null && l.v.stock <= 0).map((l) => ({ code: 'stock_below_zero', params: { sku: l.v.sku } })).slice(0, 1);
    return { type: 'Cart', sale: cart.sale, lines, touched: cart.touched, subtotal_minor, cart_discount_minor, cart_discount: cart.discount, levies, taxes: lines.length ? [{ rate: '19', net_minor: net, tax_minor: goods - net }] : [],
      total_minor, units: cart.lines.reduce((a, l) => a + l.quantity, 0), tenders: cart.tenders, due_minor, due_cash_minor: due_minor, quick_cash_minor: notes, warnings };
  }
  status() {
    const enrolled = this.enrolment.state === 'enrolled';
    return { type: 'Status', enrolment: this.enrolment, app: '0.1.0', store: enrolled ? { store: 'LM', chain: 'Atlas Sport', name: { fr: 'Tunis La Marsa', ar: 'تونس المرسى', en: 'Tunis La Marsa' }, country: 'TN', drawers: this.drawers, blind_count: this.blind,
      currency: { code: 'TND', exponent: 3, symbol_latin: 'DT', symbol_arabic: 'د.ت', denominations_minor: [5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000] } } : null,
      till: enrolled ? '01' : null, ready: this.ready && enrolled, variants: enrolled ? 399 : 0, user: this.user, sync: this.sync,
      shift: this.shift && this.shiftView(this.shift), drawer: this.drawer, shifts: Object.keys(this.shifts).map((n) => this.shiftView(this.shifts[n])),
      printer: { target: this.settings.printer, ...this.printer }, parked: this.parked.length, language: this.settings.language, storage: this.storage, notice: this.notice };
  }
  refuse(code, params = {}) { return { refused: { code, params } }; }
  manager(approval) {
    if (this.user && this.user.role === 'manager') return null;
    if (!approval) return this.refuse('manager_required');
    return this.pins[approval.user] === approval.pin ? null : this.refuse('wrong_pin', { left: 4 });
  }
  add(v, quantity = 1000) {
    const last = this.cart.lines.filter((l) => l.v === v)[0];
    if (last) last.quantity += quantity;
    else this.cart.lines.push({ line: this.cart.next++, v, quantity, unit: v.price_minor, discount: { type: 'none' } });
    this.cart.touched = (last || this.cart.lines[this.cart.lines.length - 1]).line;
    return { ok: this.view() };
  }
  receipt(row) { return { ok: { type: 'Receipt', row, png_base64: paperPng(), copies: row.copies || 0 } }; }
  report(z, count) {
    const rows = this.receipts.filter((r) => r.drawer === this.drawer);
    const takings = this.takings();
    const counted = count ? this.sum(count) : null;
    const expected = this.expected();
    const { drawer, holder_name, float, moved, no_sales, counts, hand_overs } = this.shift;
    const deposit = z && counted > float ? [{ denomination_minor: 50000, pieces: Math.floor((counted - float) / 50000) }].filter((p) => p.pieces) : [];
    return { ok: { type: 'Report', z_number: z, drawer, holder_name, business_date: '2026-11-22', opened_at: '2026-11-22T09:02', sales: rows.length, reversals: 0, units: rows.reduce((a, r) => a + r.units, 0), takings_minor: takings, discounts_minor: 6000, rounding_minor: 0, levies: [],
      taxes: [{ rate: '19', net_minor: Math.round(takings / 1.19), tax_minor: takings - Math.round(takings / 1.19) }], tenders_minor: { cash: takings, card: 0 }, float_minor: float, expected_minor: expected, counted_minor: counted,
      difference_minor: counted === null ? null : counted - expected, moved_minor: moved, no_sales, counts, hand_overs, deposit, deposit_minor: this.sum(deposit), copies: 0, perpetual_minor: z ? 18456290 : null, cash_stamp: [], job: null, parked: this.parked.length, png_base64: z ? paperPng(512, 700) : null } };
  }
  sum(count) { return count.reduce((a, p) => a + p.denomination_minor * p.pieces, 0); }
  period(kind, number, name) {
    return { type: 'Period', number, period: kind, name, at: '2026-11-22T09:01', z_numbers: [38, 41], sales: 128, sales_minor: 9876540, reversals: 2, reversals_minor: -120500, discounts_minor: 45000, rounding_minor: 0, levies: [{ code: 'stamp', minor: 12800 }], cash_stamp: [],
      taxes: [{ rate: '19', net_minor: 8198353, tax_minor: 1557687 }], tenders_minor: { cash: 6543210, card: 3212830 }, moved_minor: { pay_out: 22500, drop: 4000000 }, over_short_minor: -1500, perpetual_minor: 18456290, covers: [1204, 1933], seal: '3f9a1c07b2d4e586', job: null, copies: 0, png_base64: paperPng(512, 640) };
  }
  /** Z reports of this mock, and the closings of a day, month and year that ended before it. */
  reports() {
    return this.kept.slice().reverse().concat([this.period('year', 'Y1', '2025'), this.period('month', 'M3', '2026-10'), this.period('day', 'D12', '2026-11-21')]);
  }
  numberOf(r) { return r.type === 'Period' ? r.number : 'Z' + r.z_number; }
  balance(number) {
    const takings = this.receipts.reduce((a, r) => a + r.total_minor, 0);
    const net = Math.round(takings / 1.19);
    const debit = (account, debit_minor) => ({ account, debit_minor, credit_minor: 0 });
    const credit = (account, credit_minor) => ({ account, debit_minor: 0, credit_minor });
    const sum = takings + 50000;
    return { ok: { type: 'Balance', number, debit_minor: sum, credit_minor: sum, rows: [debit('cash', sum), debit('over_short', 0), credit('paid_in', 50000), credit('revenue:19', net), credit('tax:19', takings - net)],
      stock: [{ account: 'customer', quantity: 4000 }, { account: 'location:LM', quantity: -4000 }] } };
  }
  handle(c) {
    this.calls.push(c);
    const line = c.line === undefined ? null : this.cart.lines.filter((l) => l.line === c.line)[0];
    if (c.line !== undefined && !line && c.type !== 'RestoreLine') return this.refuse('unknown_line');
    switch (c.type) {
      case 'Status': return { ok: this.status() };
      case 'Enrol':
        if (c.code === 'BAD') return this.refuse('enrol_code_invalid');
        this.enrolment = { state: 'pending', fingerprint: '482913' };
        return { ok: { type: 'Pending', job: uuid(9) } };
      case 'GetSettings': return { ok: { type: 'Settings', ...this.settings } };
      case 'SetSettings':
        if (c.settings.printer.type === 'tcp' && !/:\d+$/.test(c.settings.printer.address)) return this.refuse('bad_printer_address');
        this.settings = c.settings;
        return { ok: { type: 'Settings', ...this.settings } };
      case 'ListUsers': return { ok: { type: 'Users', users: this.users } };
      case 'SignIn': {
        const user = this.users.filter((u) => u.user === c.user)[0];
        if (user.blocked) return this.refuse('pin_blocked');
        if (this.pins[c.user] !== c.pin) {
          this.wrong += 1;
          return this.wrong >= 5 ? this.refuse('pin_wait', { wait_ms: 30000 }) : this.refuse('wrong_pin', { left: 5 - this.wrong });
        }
        this.user = user;
        return { ok: this.status() };
      }
      case 'SignOut': this.user = null; return { ok: { type: 'Done' } };
      case 'Unblock': { const no = this.manager(c.approval); if (no) return no; this.users.forEach((u) => { u.blocked = false; }); return { ok: { type: 'Done' } }; }
      case 'ResetPin': { const no = this.manager(c.approval); if (no) return no; if (c.new_pin === '0000') return this.refuse('pin_weak'); this.pins[c.user] = c.new_pin; return { ok: { type: 'Done' } }; }
      case 'OpenShift':
        this.drawer = c.drawer || this.drawer;
        this.shifts[this.drawer] = { drawer: this.drawer, holder: this.user.user, holder_name: this.user.name, business_date: '2026-11-22', opened_at: '2026-11-22T09:02', opened_by: this.user.name, receipts: 0,
          float: this.sum(c.count), moved: {}, no_sales: 0, counts: 0, hand_overs: 0 };
        return { ok: this.status() };
      case 'UseDrawer':
        if (c.drawer < 1 || c.drawer > this.drawers) return this.refuse('unknown_drawer', { drawer: c.drawer });
        this.drawer = c.drawer;
        return { ok: { type: 'Done' } };
      case 'CloseShift': {
        const off = this.sum(c.count) - this.expected();
        if (Math.abs(off) > 20000 && !c.approval && this.user.role === 'cashier') {
          if (this.blind) this.shift.counts += 1;
          return this.blind ? this.refuse('blind_count_differs', { limit_minor: 20000 }) : this.refuse('difference_approval_required', { difference_minor: off, limit_minor: 20000 });
        }
        if (c.approval) { const no = this.manager(c.approval); if (no) return no; }
        this.zs += 1;
        const answer = this.report(41 + this.zs, c.count);
        this.kept.push(answer.ok);
        delete this.shifts[this.drawer];
        return answer;
      }
      case 'MoveCash': {
        if (!this.shift) return this.refuse('shift_required');
        if (!c.reason.trim()) return this.refuse('text_invalid', { field: 'reason' });
        if (c.amount_minor <= 0) return this.refuse('amount_invalid');
        if (c.movement !== 'pay_in' && c.amount_minor > this.expected()) return this.refuse('drawer_short', this.blind ? {} : { expected_minor: this.expected() });
        if (c.movement === 'pay_out') { const no = this.manager(c.approval); if (no) return no; }
        this.shift.moved[c.movement] = (this.shift.moved[c.movement] || 0) + c.amount_minor;
        return this.slip(c.movement, c.amount_minor, c.reason);
      }
      case 'OpenDrawer':
        if (!c.reason.trim()) return this.refuse('text_invalid', { field: 'reason' });
        this.shift.no_sales += 1;
        return this.slip(null, 0, c.reason);
      case 'CountDrawer': {
        this.shift.counts += 1;
        const counted_minor = this.sum(c.count);
        const known = !this.hidden();
        return { ok: { type: 'Counted', counted_minor, expected_minor: known ? this.expected() : null, difference_minor: known ? counted_minor - this.expected() : null } };
      }
      case 'HandOver': {
        if (c.to === this.shift.holder) return this.refuse('hand_over_to_self');
        if (this.pins[c.to] !== c.pin) return this.refuse('wrong_pin', { left: 4 });
        this.user = this.users.filter((u) => u.user === c.to)[0];
        this.shift.holder = c.to;
        this.shift.holder_name = this.user.name;
        this.shift.hand_overs += 1;
        if (this.cart.lines.length) { this.parked.unshift({ cart: this.cart, label: '', at: '2026-11-22T11:40' }); this.newCart(); }
        return { ok: { type: 'Done' } };
      }
      case 'XReport': { if (this.blind) { const no = this.manager(c.approval); if (no) return no; } return this.report(null); }
      case 'ClosePeriods': {
        const no = this.manager(c.approval); if (no) return no;
        if (Object.keys(this.shifts).length) return this.refuse('shift_open');
        return this.due ? { ok: { type: 'Done' } } : this.refuse('nothing_to_close');
      }
      case 'AcknowledgeNotice': { const no = this.manager(c.approval); if (no) return no; this.notice = null; return { ok: { type: 'Done' } }; }
      case 'BackupNow':
        this.storage = { ...this.storage, last_backup_at: '2026-11-22T12:00', backups: this.storage.backups + 1 };
        return { ok: { type: 'Pending', job: uuid(88) } };
      case 'VerifyLedger':
        this.storage = { ...this.storage, last_check: { at: '2026-11-22T12:01', ok: !this.broken, what: this.broken || null } };
        return { ok: { type: 'Pending', job: uuid(89) } };
      case 'ListStreams': return { ok: { type: 'Streams', streams: this.streams || [] } };
      case 'RecoverStream': {
        const no = this.manager(c.approval);
        if (no) return no;
        const stream = (this.streams || []).filter((s) => s.file === c.file)[0];
        if (!stream) return this.refuse('unknown_file', { file: c.file });
        const events = stream.taken ? 0 : 4;
        stream.taken = true;
        return { ok: { type: 'Recovered', series: stream.series, events, receipts: events / 2, known: stream.events - events, refused: 0, supplements: 0 } };
      }
      case 'ListReports': return { ok: { type: 'Reports', reports: this.reports().map((r) => r.type === 'Period'
        ? { number: r.number, name: r.name, period: r.period, at: r.at, takings_minor: r.sales_minor + r.reversals_minor, difference_minor: r.over_short_minor }
        : { number: 'Z' + r.z_number, name: r.business_date, period: null, at: '2026-11-22T19:30', takings_minor: r.takings_minor, difference_minor: r.difference_minor }) } };
      case 'GetReport':
      case 'ReprintReport': {
        const found = this.reports().filter((r) => this.numberOf(r) === c.number)[0];
        if (!found) return this.refuse('unknown_report', { number: c.number });
        if (c.type === 'ReprintReport') found.copies += 1;
        return { ok: found };
      }
      case 'TrialBalance':
        if (c.number === 'X' && !this.shift) return this.refuse('shift_required');
        return this.balance(c.number || '');
      case 'GetCart': return { ok: this.view() };
      case 'ScanCode': {
        const v = VARIANTS.filter((x) => x.sku === c.code || (x.gtin && Number(x.gtin) === Number(c.code)))[0];
        return v ? this.add(v) : this.refuse('unknown_code', { code: c.code });
      }
      case 'Search': {
        const q = c.query.toLowerCase();
        return { ok: { type: 'Variants', rows: VARIANTS.filter((v) => JSON.stringify(v).toLowerCase().indexOf(q) >= 0).slice(c.offset, c.offset + (c.limit || 50)), more: false } };
      }
      case 'AddLine': return this.add(VARIANTS.filter((v) => v.variant === c.variant)[0], c.quantity || 1000);
      case 'SetQuantity': if (c.quantity <= 0) return this.refuse('quantity_invalid'); line.quantity = c.quantity; this.cart.touched = c.line; return { ok: this.view() };
      case 'SetPrice': { const no = this.manager(c.approval); if (no) return no; line.unit = c.unit_minor; return { ok: this.view() }; }
      case 'DiscountLine':
      case 'DiscountCart': {
        if (c.discount.type === 'percent' && c.discount.bp > 10000) return this.refuse('discount_invalid');
        if (c.discount.type === 'percent' && c.discount.bp > 1500) { if (!c.approval) return this.refuse('discount_approval_required', { limit_bp: 1500 }); const no = this.manager(c.approval); if (no) return no; }
        if (line) line.discount = c.discount; else this.cart.discount = c.discount;
        return { ok: this.view() };
      }
      case 'RemoveLine': this.cart.removed.push(line); this.cart.lines = this.cart.lines.filter((l) => l !== line); this.cart.touched = null; return { ok: this.view() };
      case 'RestoreLine': this.cart.lines.push(this.cart.removed.pop()); this.cart.touched = c.line; return { ok: this.view() };
      case 'ClearCart': this.newCart(); return { ok: this.view() };
      case 'Park': this.parked.unshift({ cart: this.cart, label: c.label || '', at: '2026-11-22T11:4' + this.parked.length + ':00' }); this.newCart(); return { ok: this.view() };
      case 'ListParked': return { ok: { type: 'Parked', carts: this.parked.map((p) => { const v = this.view(p.cart); return { sale: p.cart.sale, label: p.label, at: p.at, units: v.units, total_minor: v.total_minor, first: v.lines[0].names }; }) } };
      case 'Recall': { const p = this.parked.filter((x) => x.cart.sale === c.sale)[0]; if (!p) return this.refuse('unknown_parked'); this.parked = this.parked.filter((x) => x !== p); if (this.cart.lines.length) this.parked.unshift({ cart: this.cart, label: '', at: '2026-11-22T11:50:00' }); this.cart = p.cart; return { ok: this.view() }; }
      case 'AddTender': if (c.tender.kind !== 'cash' && !c.tender.reference) return this.refuse('reference_required'); this.cart.tenders.push({ ...c.tender, amount_minor: c.tender.amount_minor === null ? this.view().due_minor : c.tender.amount_minor }); return { ok: this.view() };
      case 'RemoveTender': this.cart.tenders.splice(c.index, 1); return { ok: this.view() };
      case 'Complete': {
        const v = this.view();
        if (c.sale !== v.sale) return this.refuse('other_cart');
        if (!v.lines.length) return this.refuse('empty_cart');
        const tender = c.tenders[0];
        if (tender.kind !== 'cash' && !tender.reference) return this.refuse('reference_required');
        const given = tender.amount_minor === null ? v.due_minor : tender.amount_minor;
        if (given < v.due_minor) return this.refuse('underpaid', { due_minor: v.due_minor, tendered_minor: given });
        if (given > v.due_minor && tender.kind !== 'cash') return this.refuse('tender_above_due', { due_minor: v.due_minor });
        const number = 'LM-01-7K3QX-2026-' + String(this.receipts.length + 1).padStart(6, '0');
        this.receipts.unshift({ number, at: '2026-11-22T11:52:10', total_minor: v.total_minor, units: v.units, reversed: false, reverses: null, reversible: true, drawer: this.drawer });
        if (this.sync.state === 'offline') this.sync = { ...this.sync, unsynced: this.sync.unsynced + 1 };
        this.newCart();
        return { ok: { type: 'Completed', sale: v.sale, number, total_minor: v.total_minor, cash_minor: tender.kind === 'cash' ? given : 0, change_minor: given - v.due_minor, job: uuid(77), next: this.view() } };
      }
      case 'ReverseSale': {
        const no = this.manager(c.approval); if (no) return no;
        const row = this.receipts.filter((r) => r.number === c.number)[0];
        row.reversed = true; row.reversible = false;
        this.receipts.unshift({ number: row.number.slice(0, -6) + String(this.receipts.length + 1).padStart(6, '0'), at: '2026-11-22T11:58:00', total_minor: -row.total_minor, units: -row.units, reversed: true, reverses: row.number, reversible: false, drawer: this.drawer });
        return { ok: { type: 'Done' } };
      }
      case 'ListReceipts': return { ok: { type: 'Receipts', receipts: this.receipts.filter((r) => r.number.indexOf(c.query) >= 0) } };
      case 'GetReceipt': { const row = this.receipts.filter((r) => r.number === c.number)[0]; return row ? this.receipt(row) : this.refuse('unknown_receipt'); }
      case 'Reprint': { const row = this.receipts.filter((r) => r.number === c.number)[0]; row.copies = (row.copies || 0) + 1; return { ok: { type: 'Done' } }; }
      case 'ReprintLast': return this.receipts.length ? { ok: { type: 'Done' } } : this.refuse('no_receipt');
      case 'ListPrintJobs': return { ok: { type: 'PrintJobs', jobs: this.jobs } };
      case 'ResolvePrintJob': this.jobs = this.jobs.filter((j) => j.job !== c.job); this.printer.uncertain = this.jobs.length; return { ok: { type: 'Done' } };
      case 'StockOf': {
        const v = VARIANTS.filter((x) => x.variant === c.variant)[0];
        return { ok: { type: 'Stock', variant: v, locations: [{ location: uuid(21), name: { fr: 'Tunis La Marsa', ar: 'تونس المرسى', en: 'Tunis La Marsa' }, quantity: v.stock, age_ms: 740000 }, { location: uuid(22), name: { fr: 'Tunis Centre', ar: 'تونس وسط المدينة', en: 'Tunis Centre' }, quantity: 6000, age_ms: 740000 },
          { location: uuid(23), name: { fr: 'Casablanca', ar: 'الدار البيضاء', en: 'Casablanca' }, quantity: 11000, age_ms: 740000 }, { location: uuid(24), name: { fr: 'Boutique en ligne', ar: 'المتجر الإلكتروني', en: 'Online shop' }, quantity: null, age_ms: null }] } };
      }
      default: return { ok: { type: 'Done' } };
    }
  }
}

const MIME = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript; charset=utf-8', '.css': 'text/css; charset=utf-8', '.woff2': 'font/woff2' };
const CSP = "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self' data:; connect-src 'self'";

/** Serves `dist` with the window's own security policy, a till behind it, and whatever `office` answers. */
export function serve(dist, tillOf, office) {
  const server = createServer((request, response) => {
    const path = new URL(request.url, 'http://till').pathname;
    let body = '';
    request.on('data', (part) => { body += part; });
    request.on('end', () => {
      if (path === '/api/call') {
        response.setHeader('content-type', 'application/json');
        response.end(JSON.stringify(tillOf().handle(JSON.parse(body).command)));
      } else if (path === '/api/events') {
        response.writeHead(204);
        response.end();
      } else if (path.startsWith('/office/api/')) {
        const [status, answer] = office ? office(request, path.slice(12), body) : [404, {}];
        response.writeHead(status, { 'content-type': 'application/json' });
        response.end(JSON.stringify(answer));
      } else {
        try {
          const file = readFileSync(join(dist, path === '/' ? 'till.html' : path));
          response.writeHead(200, { 'content-type': MIME[extname(path === '/' ? '.html' : path)] || 'text/plain', 'content-security-policy': CSP });
          response.end(file);
        } catch {
          response.writeHead(404);
          response.end();
        }
      }
    });
  });
  return new Promise((go) => server.listen(0, '127.0.0.1', () => go(server)));
}
