import { signal } from '@preact/signals';
import { render, type ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import arAccount from '../../i18n/ar/account.json';
import ar from '../../i18n/ar/office.json';
import enAccount from '../../i18n/en/account.json';
import en from '../../i18n/en/office.json';
import fr from '../../i18n/fr/office.json';
import '../shared/fonts.css';
import '../shared/tokens.css';
import './office.css';
import { accountName } from '../shared/accounts';
import { ageParts, formatAmount, formatQuantity, formatTime } from '../shared/format';
import { addTexts, applyLang, catalogue, lang, nameOf, rememberedLang } from '../shared/i18n';
import { Empty, Icon, Langs, Ltr, Pill, Qty } from '../shared/parts';
import { api, OfficeRefusal, type Accounts, type IncidentLine, type Incidents, type LineageStep, type Me, type Lineage, type SetAsideLine, type StockLine, type StockPage, type Takings, type TillLine } from './api';

type Key = keyof typeof fr;
const { t, tx } = catalogue<Key>('office', fr);
addTexts('ar', { office: ar satisfies Record<Key, unknown>, account: arAccount });
addTexts('en', { office: en satisfies Record<Key, unknown>, account: enAccount });

type Tab = 'stock' | 'takings' | 'accounts' | 'tills' | 'incidents';
const TABS: [Tab, Key][] = [['stock', 'tab_stock'], ['takings', 'tab_takings'], ['accounts', 'tab_accounts'], ['tills', 'tab_tills'], ['incidents', 'tab_incidents']];
const REFRESH_MS = 5000;
const PAGE_ROWS = 50;
/** A till that said nothing for this long is shown as silent. */
const SILENT_MS = 5 * 60 * 1000;

const me = signal<Me | null | undefined>(undefined);
const tab = signal<Tab>('stock');
const unreachable = signal(false);

/** How amounts of a currency are written; the server sends its code. */
const CURRENCIES: Record<string, { exponent: number; latin: string; arabic: string }> = {
  TND: { exponent: 3, latin: 'DT', arabic: 'د.ت' },
  MAD: { exponent: 2, latin: 'DH', arabic: 'د.م' },
  EUR: { exponent: 2, latin: 'EUR', arabic: 'يورو' },
};

function Amount({ minor, currency }: { minor: number; currency: string }) {
  const known = CURRENCIES[currency] || { exponent: 2, latin: currency, arabic: currency };
  return <span class="money"><Ltr>{formatAmount(minor, known.exponent)}</Ltr>{'\u00a0'}<span>{lang.value === 'ar' ? known.arabic : known.latin}</span></span>;
}

function ageText(ms: number): string {
  const { unit, n } = ageParts(ms);
  return t(('time_' + unit) as Key, { n });
}

function heard(refusal: unknown): void {
  if (refusal instanceof OfficeRefusal && refusal.code === 'sign_in') me.value = null;
  else unreachable.value = true;
}

/** Asks now and every few seconds; the last good answer stays on screen while the server is away. */
function useFresh<T>(ask: () => Promise<T>, deps: unknown[]): T | null {
  const [value, setValue] = useState<T | null>(null);
  const turn = useRef(0);
  useEffect(() => {
    const mine = turn.current += 1;
    let timer = 0;
    const load = () => {
      ask().then((answer) => {
        if (mine !== turn.current) return;
        unreachable.value = false;
        setValue(answer);
      }, (refusal) => { if (mine === turn.current) heard(refusal); }).then(() => {
        if (mine === turn.current) timer = window.setTimeout(load, REFRESH_MS);
      });
    };
    load();
    return () => {
      turn.current += 1;
      clearTimeout(timer);
    };
  }, deps);
  return value;
}

/** Who wrote an event: a till, or the server. */
function Author({ of }: { of: { store: string | null; till: string | null } }) {
  return of.till ? <Ltr>{of.store + '-' + of.till}</Ltr> : <span>{t('incident_server')}</span>;
}

const EVENTS: Record<string, Key> = {
  SaleCompleted: 'event_sale', Reversed: 'event_reversed', GoodsReceived: 'event_received', StockAdjusted: 'event_adjusted', TransferSent: 'event_sent',
  TransferReceived: 'event_arrived', ZoneMoved: 'event_moved', OrderPicked: 'event_picked', StockCounted: 'event_counted',
};

/** What an event is, in words where there are some. */
function EventName({ of }: { of: { kind: string | null; number: string | null; seq: number; till: string | null } }) {
  // The server counts when a catalogue with opening stock is imported.
  const known = of.kind === 'StockCounted' && !of.till ? 'event_opening' : of.kind && EVENTS[of.kind];
  return <span>{known ? t(known) : <Ltr>{of.kind || '#' + of.seq}</Ltr>}{of.number ? <span>{' '}<Ltr>{of.number}</Ltr></span> : null}</span>;
}

function Signed({ of }: { of: number }) {
  return <Ltr>{of > 0 ? '+' : ''}<Qty of={of} /></Ltr>;
}

function Step({ of, counted }: { of: LineageStep; counted?: boolean }) {
  return <tr data-testid="lineage-step" data-quantity={of.quantity}><td class="quiet">{of.wall !== null ? minuteOf(of.wall) : null}</td><td><Author of={of} /></td>
    <td><EventName of={of} />{of.other ? <span class="quiet">{' '}<Ltr>{of.other}</Ltr></span> : null}</td>
    <td class="num">{counted ? null : <Signed of={of.quantity} />}</td><td class="num"><b><Qty of={of.balance} /></b></td></tr>;
}

/** Where a quantity comes from: the count of each zone, and what moved since. */
function Why({ variant, at }: { variant: string; at: string }) {
  const [failed, setFailed] = useState(false);
  const [lineage, setLineage] = useState<Lineage | undefined>(undefined);
  useEffect(() => {
    let gone = false;
    setLineage(undefined);
    setFailed(false);
    api.lineage(variant, at).then((answer) => { if (!gone) setLineage(answer); }, (refusal) => {
      if (gone) return;
      setFailed(true);
      heard(refusal);
    });
    return () => { gone = true; };
  }, [variant, at]);
  if (failed) return <p role="alert">{t('unreachable')}</p>;
  if (lineage === undefined) return <p class="quiet">{t('loading')}</p>;
  if (!lineage) return <p class="quiet">{t('lineage_none')}</p>;
  return <div data-testid="lineage">{lineage.zones.map((zone) => <div key={zone.zone} class="table-box" tabIndex={0}>
    {lineage.zones.length > 1 ? <h3><Ltr>{zone.zone}</Ltr></h3> : null}
    <table><thead><tr><th>{t('lineage_when')}</th><th>{t('till')}</th><th>{t('lineage_what')}</th><th class="num">{t('lineage_change')}</th><th class="num">{t('lineage_balance')}</th></tr></thead>
      <tbody>{zone.count ? <Step of={zone.count} counted /> : <tr><td colSpan={4} class="quiet">{t('lineage_uncounted')}</td><td class="num">0</td></tr>}
        {zone.older ? <tr><td colSpan={3} class="quiet">{tx('lineage_older', { n: <Ltr>{zone.older}</Ltr> })}</td><td class="num"><Signed of={zone.older_sum} /></td><td class="num"><Qty of={(zone.count ? zone.count.quantity : 0) + zone.older_sum} /></td></tr> : null}
        {zone.steps.map((step) => <Step key={step.stream + step.seq + step.number} of={step} />)}</tbody></table>
    {zone.settled ? <p class="quiet">{tx('lineage_settled', { n: <Ltr>{zone.settled}</Ltr> })}</p> : null}
  </div>)}</div>;
}

function Stock() {
  const [shown, setShown] = useState<{ row: StockLine; at: string } | null>(null);
  const [query, setQuery] = useState('');
  const [asked, setAsked] = useState('');
  const [offset, setOffset] = useState(0);
  useEffect(() => {
    const timer = setTimeout(() => {
      setAsked(query.trim());
      setOffset(0);
    }, 150);
    return () => clearTimeout(timer);
  }, [query]);
  const page = useFresh<StockPage>(() => api.stock(asked, offset, PAGE_ROWS), [asked, offset]);
  return <section>
    <div class="tools"><label class="find"><Icon name="search" /><input type="search" data-testid="stock-search" {...(query ? { dir: 'auto' as const } : {})} autocomplete="off" aria-label={t('search')} placeholder={t('search')} value={query} onInput={(event) => setQuery(event.currentTarget.value)} /></label>
      {page && page.total > 0 ? <div class="pager"><span class="quiet">{tx('rows', { from: <Ltr>{page.offset + 1}</Ltr>, to: <Ltr>{page.offset + page.rows.length}</Ltr>, count: page.total })}</span>
        <button type="button" class="btn" disabled={offset === 0} onClick={() => setOffset(Math.max(0, offset - PAGE_ROWS))}>{t('previous')}</button>
        <button type="button" class="btn" disabled={page.offset + page.rows.length >= page.total} onClick={() => setOffset(offset + PAGE_ROWS)}>{t('next')}</button></div> : null}</div>
    {shown && page ? <section class="why" aria-label={t('lineage')}>
      <h2>{t('lineage')}{' '}<span class="quiet">{nameOf(shown.row.names)}{' '}<Ltr>{shown.row.sku}</Ltr></span></h2>
      <div class="days">{page.locations.filter((at) => !shown.row.parts.length && shown.row.quantities[at] !== undefined).map((at) => <button key={at} type="button" class={at === shown.at ? 'btn on' : 'btn'} aria-pressed={at === shown.at} data-testid={'why-at-' + at} onClick={() => setShown({ row: shown.row, at })}>{nameOf(page.location_names[at] || { fr: at })}</button>)}
        <button type="button" class="btn" data-testid="why-close" onClick={() => setShown(null)}>{t('close')}</button></div>
      {shown.at ? <Why variant={shown.row.variant} at={shown.at} /> : <p class="quiet">{t(shown.row.parts.length ? 'lineage_kit' : 'lineage_none')}</p>}</section> : null}
    {!page ? <p class="quiet">{t('loading')}</p> : !page.rows.length ? <Empty icon="search" title={t('none_found')} />
      : <div class="table-box" tabIndex={0}><table><thead><tr><th>{t('item')}</th><th>{t('sku')}</th>{page.locations.map((at) => <th key={at} class="num">{nameOf(page.location_names[at] || { fr: at })}</th>)}</tr></thead>
        <tbody>{page.rows.map((row) => <tr key={row.variant} data-testid={'stock-row-' + row.sku}>
          <td><button type="button" class="figure" title={t('lineage')} aria-expanded={shown !== null && shown.row.variant === row.variant} data-testid={'why-' + row.sku} onClick={() => setShown(shown && shown.row.variant === row.variant ? null : { row, at: row.parts.length ? '' : Object.keys(row.quantities)[0] || '' })}><b>{nameOf(row.names)}</b></button><span class="quiet under"><span dir="auto">{row.options.map((option) => option.value).join(' / ')}</span></span>
            {row.parts.length ? <span class="quiet under" data-testid={'kit-' + row.sku}>{t('kit')}{' '}{row.parts.map((part, i) => <span key={part.sku}>{i ? ' · ' : ''}<Ltr>{formatQuantity(part.quantity) + ' × ' + part.sku}</Ltr></span>)}</span> : null}</td>
          <td class="quiet"><Ltr>{row.sku}</Ltr></td>
          {page.locations.map((at) => {
            const held = row.quantities[at];
            return <td key={at} class={held === undefined ? 'num none' : held <= 0 ? 'num low' : 'num'} data-testid={'stock-' + row.sku + '-' + at} data-quantity={held}>{held === undefined ? '–' : <Qty of={held} />}</td>;
          })}</tr>)}</tbody></table></div>}
  </section>;
}

function shiftDay(date: string, by: number): string {
  const [year, month, day] = date.split('-').map(Number) as [number, number, number];
  return new Date(Date.UTC(year, month - 1, day + by)).toISOString().slice(0, 10);
}

function TakingsOfDay() {
  const [date, setDate] = useState<string | null>(null);
  const page = useFresh<Takings>(() => api.takings(date), [date]);
  const shown = date || (page ? page.date : null);
  const stores: string[] = [];
  if (page) for (const row of page.rows) if (stores.indexOf(row.store) < 0) stores.push(row.store);
  return <section>
    <div class="tools"><div class="days">
      <button type="button" class="ib" aria-label={t('previous_day')} disabled={!shown} onClick={() => { if (shown) setDate(shiftDay(shown, -1)); }}><span class="flip"><Icon name="next" /></span></button>
      <b class="day"><Ltr>{shown ? formatTime(shown) : ''}</Ltr></b>
      <button type="button" class="ib" aria-label={t('next_day')} disabled={!shown} onClick={() => { if (shown) setDate(shiftDay(shown, 1)); }}><Icon name="next" /></button>
      <button type="button" class="btn" onClick={() => setDate(null)}>{t('today')}</button></div></div>
    {!page ? <p class="quiet">{t('loading')}</p> : !page.rows.length ? <Empty icon="chart" title={t('none_takings')} />
      : <div><div class="totals">{page.totals.map((total) => <div key={total.currency} class="total"><span class="quiet">{tx('per_currency', { currency: <Ltr>{total.currency}</Ltr> })}</span>
        <b data-testid={'takings-total-' + total.currency} data-minor={total.takings_minor}><Amount minor={total.takings_minor} currency={total.currency} /></b>
        <span class="quiet">{t('sales')}{' '}<Ltr>{total.receipts}</Ltr>{' · '}{t('units')}{' '}<Qty of={total.units} /></span></div>)}</div>
        <div class="table-box" tabIndex={0}><table><thead><tr><th>{t('store')}</th><th>{t('till')}</th><th class="num">{t('sales')}</th><th class="num">{t('reversals')}</th><th class="num">{t('units')}</th><th class="num">{t('takings')}</th></tr></thead>
          <tbody>{stores.map((store) => page.rows.filter((row) => row.store === store).map((row, i) => <tr key={store + row.till + row.currency} data-testid={'takings-row-' + row.store + '-' + row.till}>
            <td>{i === 0 ? <b>{nameOf(page.stores[store] || { fr: store })}</b> : null}</td><td><Ltr>{row.till}</Ltr></td><td class="num"><Ltr>{row.receipts}</Ltr></td>
            <td class={row.reversals ? 'num low' : 'num none'}><Ltr>{row.reversals}</Ltr></td><td class="num"><Qty of={row.units} /></td><td class="num"><b><Amount minor={row.takings_minor} currency={row.currency} /></b></td></tr>))}</tbody></table></div></div>}
  </section>;
}

function AccountsPage() {
  const page = useFresh<Accounts>(api.accounts, []);
  if (!page) return <p class="quiet">{t('loading')}</p>;
  const stores: string[] = [];
  for (const row of page.balances) if (stores.indexOf(row.store) < 0) stores.push(row.store);
  const sum = (rows: Accounts['balances'], side: 'debit_minor' | 'credit_minor') => rows.reduce((total, row) => total + row[side], 0);
  const nameOfStore = (store: string) => nameOf(page.stores[store] || { fr: store });
  return <section>
    <h2>{t('closings')}</h2>
    {!page.closings.length ? <Empty icon="chart" title={t('none_closings')} />
      : <div class="table-box" tabIndex={0}><table><thead><tr><th>{t('store')}</th><th>{t('till')}</th><th>{t('closing')}</th><th>{t('closing_of')}</th><th class="num">{t('sales')}</th><th class="num">{t('reversals')}</th><th class="num">{t('takings')}</th><th class="num">{t('difference')}</th><th class="num">{t('perpetual')}</th></tr></thead>
        <tbody>{page.closings.map((row) => <tr key={row.store + row.till + row.kind + row.number + row.wall} data-testid={'closing-' + row.store + '-' + row.till + '-' + row.kind + '-' + row.number}>
          <td><b>{nameOfStore(row.store)}</b></td><td><Ltr>{row.till}</Ltr></td><td>{t(('closing_' + row.kind) as Key)}{' '}<Ltr>{row.number}</Ltr></td><td><Ltr>{row.name}</Ltr></td>
          <td class="num"><Ltr>{row.sales}</Ltr></td><td class="num"><Ltr>{row.reversals}</Ltr></td><td class="num"><b><Amount minor={row.takings_minor} currency={row.currency || ''} /></b></td>
          <td class={row.difference_minor < 0 ? 'num low' : 'num'}><Amount minor={row.difference_minor} currency={row.currency || ''} /></td><td class="num quiet"><Amount minor={row.perpetual_minor} currency={row.currency || ''} /></td></tr>)}</tbody></table></div>}
    {stores.map((store) => {
      const rows = page.balances.filter((row) => row.store === store);
      const currency = rows[0] ? rows[0].currency : '';
      return <div key={store} data-testid={'balance-' + store} data-debit={sum(rows, 'debit_minor')} data-credit={sum(rows, 'credit_minor')}><h2>{tx('balance_of', { store: nameOfStore(store) })}</h2>
        <div class="table-box" tabIndex={0}><table><thead><tr><th>{t('account')}</th><th class="num">{t('debit')}</th><th class="num">{t('credit')}</th></tr></thead>
          <tbody>{rows.map((row) => <tr key={row.account}><td>{accountName(row.account)}</td>
            <td class="num">{row.debit_minor ? <Amount minor={row.debit_minor} currency={currency} /> : null}</td><td class="num">{row.credit_minor ? <Amount minor={row.credit_minor} currency={currency} /> : null}</td></tr>)}
            <tr><td><b>{t('total')}</b></td><td class="num"><b><Amount minor={sum(rows, 'debit_minor')} currency={currency} /></b></td><td class="num"><b><Amount minor={sum(rows, 'credit_minor')} currency={currency} /></b></td></tr></tbody></table></div></div>;
    })}
  </section>;
}

function TillState({ row }: { row: TillLine }) {
  if (row.revoked) return <Pill tone="bad">{t('state_revoked')}</Pill>;
  if (row.quarantined) return <Pill tone="bad">{t('state_problem')}</Pill>;
  if (row.contact_age_ms > SILENT_MS) return <Pill tone="wait">{t('state_late')}</Pill>;
  return <Pill tone="ok">{t('state_online')}</Pill>;
}

/** What tills sent that is in no sum: head office is to ask the store about it. */
function SetAside({ rows, stores }: { rows: SetAsideLine[]; stores: Takings['stores'] }) {
  if (!rows.length) return null;
  return <div data-testid="set-aside"><h2>{t('set_aside')}</h2><p class="quiet">{t('set_aside_hint')}</p>
    <div class="table-box" tabIndex={0}><table><thead><tr><th>{t('store')}</th><th>{t('till')}</th><th>{t('set_aside_place')}</th><th>{t('set_aside_record')}</th><th>{t('set_aside_why')}</th><th>{t('set_aside_received')}</th></tr></thead>
      <tbody>{rows.map((row) => <tr key={row.store + row.till + row.series + row.seq + row.code + row.received} data-testid={'set-aside-' + row.store + '-' + row.till + '-' + row.seq} data-code={row.code}>
        <td><b>{nameOf(stores[row.store] || { fr: row.store })}</b></td><td><Ltr>{row.till}</Ltr></td><td class="quiet"><Ltr>{row.series + ' ' + row.seq}</Ltr></td>
        <td>{row.number ? <Ltr>{row.number}</Ltr> : null}{row.kind ? <span class="quiet under"><Ltr>{row.kind}</Ltr></span> : null}</td>
        <td>{t(('aside_' + row.code) as Key)}</td><td class="quiet"><Ltr>{formatTime(new Date(row.received).toISOString())}</Ltr></td></tr>)}</tbody></table></div></div>;
}

function TillList() {
  const page = useFresh(() => Promise.all([api.tills(), api.takings(null)]), []);
  if (!page) return <p class="quiet">{t('loading')}</p>;
  const [{ rows, set_aside }, { stores }] = page;
  if (!rows.length) return <Empty icon="store" title={t('none_tills')} />;
  return <section><div class="table-box" tabIndex={0}><table><thead><tr><th>{t('store')}</th><th>{t('till')}</th><th>{t('state')}</th><th>{t('last_contact')}</th><th>{t('backlog')}</th><th>{t('version')}</th></tr></thead>
    <tbody>{rows.map((row) => <tr key={row.device} data-testid={'till-row-' + row.store + '-' + row.till}>
      <td><b>{nameOf(stores[row.store] || { fr: row.store })}</b></td><td><Ltr>{row.till}</Ltr></td>
      <td><TillState row={row} />{row.quarantined ? <span class="quiet under">{tx('quarantined', { count: row.quarantined })}</span> : null}</td>
      <td>{tx('ago', { time: ageText(row.contact_age_ms) })}</td>
      <td data-testid={'backlog-' + row.store + '-' + row.till} data-unsynced={row.unsynced} class={row.unsynced ? 'low' : 'quiet'}>{row.unsynced
        ? <span><b><Ltr>{row.unsynced}</Ltr></b>{row.oldest_age_ms !== null ? <span class="quiet">{' '}{tx('backlog_age', { time: ageText(row.oldest_age_ms) })}</span> : null}</span> : t('backlog_none')}</td>
      <td class="quiet"><Ltr>{row.app}</Ltr></td></tr>)}</tbody></table></div><SetAside rows={set_aside} stores={stores} /></section>;
}

const minuteOf = (wall: number) => <Ltr>{formatTime(new Date(wall).toISOString())}</Ltr>;

/** Somebody's note of what was done; the row goes when the server has it. */
function Resolve({ row, done }: { row: IncidentLine; done: (left: Incidents) => void }) {
  const [note, setNote] = useState('');
  const [sent, setSent] = useState(false);
  const [failed, setFailed] = useState('');
  return <form class="resolve" onSubmit={(event) => {
    event.preventDefault();
    if (sent) return;
    setSent(true);
    api.resolve(row.incident, note).then(done, (refusal: OfficeRefusal) => {
      setSent(false);
      if (refusal.code === 'not_open') setFailed(t('incident_not_open'));
      else if (refusal.code === 'bad_note') setFailed(t('incident_bad_note'));
      else heard(refusal);
    });
  }}>
    <input data-testid="incident-note" dir="auto" aria-label={t('incident_note')} placeholder={t('incident_note')} maxLength={150} value={note} onInput={(event) => setNote(event.currentTarget.value)} />
    <button type="submit" class="btn" data-testid="incident-resolve" disabled={sent || !note.trim()}>{t('incident_resolve')}</button>
    {failed ? <span class="low" role="alert">{failed}</span> : null}
  </form>;
}

function IncidentList() {
  const [all, setAll] = useState(false);
  // What is left after one was resolved, until the next answer.
  const [left, setLeft] = useState<Incidents | null>(null);
  const fresh = useFresh<Incidents>(() => api.incidents(all), [all]);
  useEffect(() => setLeft(null), [fresh]);
  const page = (!all && left) || fresh;
  return <section>
    <div class="tools"><div class="days">{[false, true].map((one) => <button key={String(one)} type="button" class={one === all ? 'btn on' : 'btn'} aria-pressed={one === all} data-testid={one ? 'incidents-all' : 'incidents-open'} onClick={() => setAll(one)}>{t(one ? 'incidents_all' : 'incidents_open')}</button>)}</div></div>
    {!page ? <p class="quiet">{t('loading')}</p> : !page.rows.length ? <Empty icon="check" title={t('none_incidents')} /> : <div><p class="quiet">{t('incidents_hint')}</p>
      <div class="cases">{page.rows.map((row) => <article key={row.incident} class="case" data-testid={'incident-' + row.kind} data-incident={row.incident}>
        <h2>{t(('kind_' + row.kind) as Key)}</h2>
        <p>{row.sku ? <span>{row.quantity !== null ? <Qty of={row.quantity} /> : null}{' × '}<Ltr>{row.sku}</Ltr>{' · '}</span> : null}{row.location ? <span>{nameOf(page.stores[row.location] || { fr: row.location })}{' · '}</span> : null}{row.till ? <span><Author of={row} />{' · '}</span> : null}<span class="quiet">{minuteOf(row.raised)}</span></p>
        {row.story.length ? <ol class="quiet" aria-label={t('incident_story')}>{row.story.map((at) => <li key={at.stream + at.seq}>{at.wall !== null ? minuteOf(at.wall) : null}{' '}<Author of={at} />{' '}<EventName of={at} /></li>)}</ol> : null}
        {row.note === null && row.kind === 'server_restored' ? <p class="alert">{t('hint_server_restored')}</p> : null}
        {row.note === null ? <Resolve row={row} done={setLeft} /> : <p><b>{t('incident_done')}</b>{' '}<span dir="auto">{row.note}</span>{' '}{row.resolved !== null ? <span class="quiet">{minuteOf(row.resolved)}</span> : null}</p>}</article>)}</div></div>}
  </section>;
}

function SignIn() {
  const [name, setName] = useState('');
  const [password, setPassword] = useState('');
  const [failed, setFailed] = useState<ComponentChildren>(null);
  const [sent, setSent] = useState(false);
  return <main class="door"><form class="card" onSubmit={(event) => {
    event.preventDefault();
    if (sent) return;
    setSent(true);
    setFailed(null);
    api.login(name.trim(), password).then((answer) => {
      unreachable.value = false;
      me.value = answer;
    }, (refusal: OfficeRefusal) => {
      setSent(false);
      setFailed(refusal.code === 'blocked' ? tx('sign_in_wait', { time: ageText(refusal.after_ms + 999) }) : refusal.code === 'wrong_password' ? t('sign_in_failed') : t('unreachable'));
    });
  }}>
    <span class="mark" aria-hidden="true"><Icon name="store" /></span>
    <h1>{t('title')}</h1><p class="quiet lead">{t('sign_in_hint')}</p>
    <label class="field"><span>{t('user')}</span><input data-testid="office-user" dir="ltr" autocomplete="username" autocapitalize="none" spellcheck={false} value={name} onInput={(event) => setName(event.currentTarget.value)} /></label>
    <label class="field"><span>{t('password')}</span><input data-testid="office-password" dir="ltr" type="password" autocomplete="current-password" value={password} onInput={(event) => setPassword(event.currentTarget.value)} /></label>
    {failed ? <p class="alert lead" role="alert" data-testid="office-error">{failed}</p> : null}
    <button type="submit" class="btn go wide tall" data-testid="office-sign-in" disabled={sent || !name.trim() || !password}>{t('sign_in')}</button>
    <div class="door-langs"><Langs names={langNames()} pick={applyLang} /></div>
  </form></main>;
}

const langNames = () => ({ fr: t('lang_fr'), ar: t('lang_ar'), en: t('lang_en') });

function Office() {
  if (me.value === undefined) return <main class="door"><p class="quiet">{unreachable.value ? t('unreachable') : t('loading')}</p></main>;
  if (me.value === null) return <SignIn />;
  return <div class="office">
    <header class="top"><span class="mark" aria-hidden="true"><Icon name="store" /></span><h1>{me.value.chain}<span class="quiet">{t('title')}</span></h1>
      <nav class="nav" role="tablist">{TABS.map(([name, key]) => <button key={name} type="button" role="tab" aria-selected={tab.value === name} class={tab.value === name ? 'on' : ''} data-testid={'tab-' + name} onClick={() => { tab.value = name; location.hash = name; }}>{t(key)}</button>)}</nav>
      <Langs names={{ fr: 'FR', ar: 'ع', en: 'EN' }} pick={applyLang} />
      <button type="button" class="ib" aria-label={t('sign_out')} title={t('sign_out')} data-testid="office-sign-out" onClick={() => api.logout().then(() => { me.value = null; })}><Icon name="out" /></button></header>
    {unreachable.value ? <p class="away" role="alert"><Icon name="alert" />{t('unreachable')}</p> : null}
    <main class="page">{tab.value === 'stock' ? <Stock /> : tab.value === 'takings' ? <TakingsOfDay /> : tab.value === 'accounts' ? <AccountsPage /> : tab.value === 'tills' ? <TillList /> : <IncidentList />}</main>
  </div>;
}

function start(): void {
  applyLang(rememberedLang());
  const named = location.hash.slice(1);
  if (named === 'takings' || named === 'accounts' || named === 'tills' || named === 'incidents') tab.value = named;
  const root = document.getElementById('app');
  if (root) render(<Office />, root);
  const who = () => api.me().then((answer) => {
    unreachable.value = false;
    me.value = answer;
  }, (refusal) => {
    heard(refusal);
    if (me.value === undefined) setTimeout(who, REFRESH_MS);
  });
  who();
}

start();
