import type { ComponentChildren } from 'preact';
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import type { AdjustReason } from '../bindings/AdjustReason';
import type { Approval } from '../bindings/Approval';
import type { Command } from '../bindings/Command';
import type { CountedView } from '../bindings/CountedView';
import type { GoodsInput } from '../bindings/GoodsInput';
import type { LineageKind } from '../bindings/LineageKind';
import type { LineageView } from '../bindings/LineageView';
import type { Names } from '../bindings/Names';
import type { PlaceView } from '../bindings/PlaceView';
import type { StockCountView } from '../bindings/StockCountView';
import type { TransferView } from '../bindings/TransferView';
import type { VariantView } from '../bindings/VariantView';
import { formatQuantity, formatTime, parseScaled } from '../shared/format';
import { nameOf } from '../shared/i18n';
import { Empty, Icon, Ltr, Qty, type IconName } from '../shared/parts';
import { Bar, Keypad, SheetFrame, typed, Typed } from './controls';
import { useKeys } from './keys';
import { Fact } from './reports';
import { openStock, SearchField, StockBadge, useSearch } from './sale';
import { soundBad, soundGood } from './sound';
import { approve, ask, closeSheet, go, openSheet, run, runApproved, say, sayRefusal, scanTo, type GoodsKind, type Screen } from './state';
import { ageText, t, tx, type TillKey } from './texts';

/** An article as lists of the stockroom show it. */
interface Article {
  variant: string;
  sku: string;
  names: Names;
  options: string;
}

const toStock = () => go({ at: 'stock' });

/** Sends scanned codes to `take` for as long as the screen is up: from before it is painted, or a quick scan is lost. */
function useScan(take: (code: string) => void): void {
  const ref = useRef(take);
  ref.current = take;
  useLayoutEffect(() => {
    const mine = (code: string) => ref.current(code);
    scanTo.value = mine;
    return () => { if (scanTo.value === mine) scanTo.value = null; };
  }, []);
}

function find(code: string, found: (row: VariantView) => void): void {
  ask({ type: 'FindCode', code }).then((answer) => {
    if (!answer) return;
    if ('ok' in answer && answer.ok.type === 'Variants' && answer.ok.rows[0]) {
      soundGood();
      found(answer.ok.rows[0]);
    } else if ('refused' in answer) {
      soundBad();
      sayRefusal(answer.refused);
    }
  });
}

function usePlaces(): { transfers: TransferView[]; places: PlaceView[]; load: () => void } {
  const [transfers, setTransfers] = useState<TransferView[]>([]);
  const [places, setPlaces] = useState<PlaceView[]>([]);
  const load = () => run({ type: 'ListTransfers' }).then((reply) => {
    if (!reply || reply.type !== 'Transfers') return;
    setTransfers(reply.transfers);
    setPlaces(reply.places);
  });
  useEffect(() => { load(); }, []);
  return { transfers, places, load };
}

function named(places: PlaceView[], location: string): string {
  const place = places.filter((one) => one.location === location)[0];
  return place ? nameOf(place.name) : location;
}

/** What a search found, to be taken into the list. */
function Found({ rows, take, id }: { rows: VariantView[]; take: (row: VariantView) => void; id: string }) {
  return <ul class="rows flush">{rows.map((row) => <li key={row.variant}><button type="button" class="row tap" data-testid={id + row.sku} onClick={() => take(row)}>
    <Named of={row} /><StockBadge row={row} /></button></li>)}</ul>;
}

function Named({ of, children }: { of: Article; children?: ComponentChildren }) {
  return <span class="row-main"><b>{nameOf(of.names)}</b><span class="quiet"><span dir="auto">{of.options}</span>{of.options ? ' · ' : ''}<Ltr>{of.sku}</Ltr></span>{children}</span>;
}

function Input({ label, id, text, set, ltr }: { label: string; id: string; text: string; set: (text: string) => void; ltr?: boolean }) {
  return <label class="field"><span>{label}</span><input dir={ltr ? 'ltr' : 'auto'} data-testid={id} autocomplete="off" maxLength={80} value={text} onInput={(event) => set(event.currentTarget.value)} /></label>;
}

function Chips<T extends string>({ options, now, pick, id, label }: { options: [T, ComponentChildren][]; now: T | ''; pick: (value: T) => void; id: string; label: string }) {
  return <div class="chips" role="group" aria-label={label}>{options.map(([value, text]) => <button key={value} type="button" class={value === now ? 'chip on' : 'chip'} aria-pressed={value === now} data-testid={id + value} onClick={() => pick(value)}>{text}</button>)}</div>;
}

const DOORS: [GoodsKind, IconName, TillKey][] = [['receive', 'recall', 'stock_receive'], ['adjust', 'erase', 'stock_adjust'], ['send', 'next', 'stock_send'], ['arrive', 'back', 'stock_arrive']];

/** The stockroom: look an article up by scan or words, or begin a document. */
export function Stock() {
  const { query, setQuery, rows } = useSearch();
  const { transfers, places, load } = usePlaces();
  useScan((code) => find(code, (row) => openStock(row.variant)));
  const door = (icon: IconName, id: string, text: TillKey, to: Screen) =>
    <li key={id}><button type="button" class="row tap" data-testid={'stock-' + id} onClick={() => go(to)}><span class="row-main"><b>{t(text)}</b></span><Icon name={icon} /></button></li>;
  return <div class="app"><Bar title={t('stock')} back={() => go({ at: 'home' })} />
    <div class="stock-find"><SearchField query={query} set={setQuery} /></div>
    <main class="scroll">{query.trim() ? <Found rows={rows || []} id="look-" take={(row) => openStock(row.variant)} /> : <div class="narrow">
      <ul class="rows">{DOORS.map(([kind, icon, text]) => door(icon, kind, text, { at: 'goods', kind }))}{door('check', 'count', 'stock_count', { at: 'stockcount' })}</ul>
      {transfers.length ? <h2>{t('stock_on_way')}</h2> : null}
      {transfers.map((one) => <Transfer key={one.transfer} of={one} to={named(places, one.to)} load={load} />)}
    </div>}</main></div>;
}

function Transfer({ of, to, load }: { of: TransferView; to: string; load: () => void }) {
  const lines = of.lines.map(({ variant, quantity }) => ({ variant, quantity }));
  const lose = () => runApproved((approval) => ({ type: 'LoseTransfer', transfer: of.transfer, from: of.from, to: of.to, lines, approval }), [t('stock_lose'), ' · ', to]).then((reply) => {
    if (!reply) return;
    say({ text: t('stock_done') });
    load();
  });
  return <section class="transfer"><p><b>{to}</b> <span class="quiet"><Ltr>{formatTime(of.at)}</Ltr></span><br /><span class="quiet small"><Ltr>{of.transfer}</Ltr></span></p>
    <ul class="rows">{of.lines.map((line) => <li key={line.variant} class="row"><Named of={line} /><b class="row-n"><Qty of={line.quantity} /></b></li>)}</ul>
    <button type="button" class="btn plain danger" data-testid="stock-lose" onClick={lose}>{t('stock_lose')}</button></section>;
}

const REASONS: [AdjustReason, TillKey, boolean][] = [['damaged', 'adjust_damaged', true], ['theft', 'adjust_theft', false], ['expired', 'adjust_expired', false], ['own_use', 'adjust_own_use', false], ['found', 'adjust_found', true], ['correction', 'adjust_correction', true]];
const TITLES: Record<GoodsKind, TillKey> = { receive: 'stock_receive', adjust: 'stock_adjust', send: 'stock_send', arrive: 'stock_arrive' };
const UUID = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/i;

/** One component for every document: what it is about at the top, articles by scan or search below. */
export function Goods({ kind }: { kind: GoodsKind }) {
  const [lines, setLines] = useState<(Article & { quantity: number })[]>([]);
  const [reason, setReason] = useState<AdjustReason | ''>('');
  const [out, setOut] = useState(true);
  const [place, setPlace] = useState('');
  const [text, setText] = useState('');
  const [zone, setZone] = useState('');
  const [sent, setSent] = useState(false);
  const { query, setQuery, rows } = useSearch();
  const { places } = usePlaces();
  const put = (article: Article, by: number) => setLines((all) => {
    const old = all.filter((line) => line.variant === article.variant)[0];
    if (!old) return [{ ...article, quantity: by }].concat(all);
    return all.map((line) => line === old ? { ...line, quantity: line.quantity + by } : line).filter((line) => line.quantity > 0);
  });
  useScan((code) => {
    if (kind === 'arrive' && UUID.test(code)) setText(code);
    else find(code, (row) => put(row, 1000));
  });
  const goods = (): GoodsInput[] => lines.map(({ variant, quantity }) => ({ variant, quantity: kind === 'adjust' && out ? -quantity : quantity }));
  const both = REASONS.some(([one, , two]) => one === reason && two);
  const ready = lines.length > 0 && (kind === 'adjust' ? reason !== '' : kind === 'send' ? place !== '' : kind === 'arrive' ? place !== '' && UUID.test(text.trim()) : true);
  const from = zone.trim() || null;
  const words = text.trim() || null;
  const make = (approval: Approval | null, without_right: boolean): Command => {
    const all = goods();
    switch (kind) {
      case 'receive': return { type: 'ReceiveGoods', lines: all, zone: from, reference: words, included_in: null, document: null };
      case 'adjust': return { type: 'AdjustStock', reason: reason || 'correction', lines: all, zone: from, note: words, document: null, without_right, approval };
      case 'send': return { type: 'SendTransfer', to: place, lines: all, zone: from, transfer: null, without_right, approval };
      case 'arrive': return { type: 'ReceiveTransfer', transfer: text.trim(), from: place, lines: all, zone: from };
    }
  };
  const submit = () => {
    setSent(true);
    ask(make(null, false)).then((answer) => {
      // A strict article goes out without a right only on a manager's word.
      if (answer && 'refused' in answer && answer.refused.code === 'no_right') {
        return runApproved((approval) => make(approval, true), tx('stock_no_right', { sku: <Ltr>{answer.refused.params.sku}</Ltr> }), true);
      }
      return approve(answer, (approval) => make(approval, false), t(TITLES[kind]));
    }).then((reply) => {
      setSent(false);
      if (!reply || reply.type !== 'Goods') return;
      toStock();
      say({ text: t('stock_done') });
      if (kind === 'send') {
        const id = openSheet(() => <SheetFrame id={id} title={t('stock_send')}><div class="sheet-body"><p class="lead">{t('stock_sent_hint')}</p><p class="center" data-testid="stock-sent" data-id={reply.document}><b><Ltr>{reply.document}</Ltr></b></p></div></SheetFrame>);
      }
    });
  };
  return <div class="app"><Bar title={t(TITLES[kind])} back={toStock} />
    <main class="scroll"><div class="narrow">
      {kind === 'adjust' ? <Chips id="adjust-" label={t('reason')} options={REASONS.map(([one, key]): [AdjustReason, string] => [one, t(key)])} now={reason} pick={(one) => { setReason(one); setOut(true); }} /> : null}
      {kind === 'adjust' && both ? <Chips id="adjust-way-" label={t('stock_adjust')} options={[['out', t('stock_way_out')], ['in', t('stock_way_in')]]} now={out ? 'out' : 'in'} pick={(way) => setOut(way === 'out')} /> : null}
      {kind === 'send' || kind === 'arrive' ? <Chips id="place-" label={t(TITLES[kind])} options={places.filter((one) => !one.here).map((one): [string, string] => [one.location, nameOf(one.name)])} now={place} pick={setPlace} /> : null}
      {kind !== 'send' ? <Input id="goods-text" label={t(kind === 'receive' ? 'stock_note_number' : kind === 'arrive' ? 'stock_transfer_number' : 'stock_note')} text={text} set={setText} ltr={kind === 'arrive'} /> : null}
      <Input id="goods-zone" label={t('stock_zone')} text={zone} set={setZone} ltr />
      <SearchField query={query} set={setQuery} />
    </div>
    {query.trim() ? <Found rows={rows || []} id="take-" take={(row) => { setQuery(''); put(row, 1000); }} />
      : lines.length ? <ul class="rows flush">{lines.map((line) => <Counter key={line.variant} of={line} n={line.quantity} id="goods" add={(by) => put(line, by)} />)}</ul>
        : <Empty icon="scan">{t('stock_scan')}</Empty>}</main>
    <footer class="foot"><button type="button" class="btn go wide tall" data-testid="goods-go" disabled={!ready || sent} onClick={submit}><span>{tx('stock_record', { count: formatQuantity(lines.reduce((sum, line) => sum + line.quantity, 0)) })}</span></button></footer></div>;
}

function NumberBody({ id, of, n, set }: { id: number; of: Article; n: number; set: (quantity: number) => void }) {
  const [text, setText] = useState('');
  const submit = () => {
    const quantity = parseScaled(text, 3);
    closeSheet(id);
    if (quantity !== null) set(quantity);
  };
  useKeys(({ key }) => {
    if (key !== 'Enter') return false;
    submit();
    return true;
  });
  return <SheetFrame id={id} title={nameOf(of.names)}><div class="sheet-body"><Typed text={text} hint={formatQuantity(n)} />
    <Keypad press={(key) => setText((was) => typed(was, key, 7))} corner="." small />
    <div class="sheet-actions"><button type="button" class="btn go" data-testid="number-apply" disabled={!text} onClick={submit}>{t('apply')}</button></div></div></SheetFrame>;
}

/** An article with how many: one more, one less, or a number. */
function Counter({ of, n, id, add, children }: { of: Article; n: number; id: string; add: (by: number) => void; children?: ComponentChildren }) {
  const open = () => { const sheet = openSheet(() => <NumberBody id={sheet} of={of} n={n} set={(quantity) => add(quantity - n)} />); };
  return <li class="row" data-testid={id + '-' + of.sku} data-quantity={n}><Named of={of}>{children}</Named><div class="step" dir="ltr">
    <button type="button" aria-label={t('take_one')} data-testid={id + '-minus-' + of.sku} disabled={n < 1000} onClick={() => add(-1000)}><Icon name="minus" /></button>
    <button type="button" class="step-n" aria-label={t('quantity') + ' ' + formatQuantity(n)} data-testid={id + '-n-' + of.sku} onClick={open}>{formatQuantity(n)}</button>
    <button type="button" aria-label={t('add_one')} data-testid={id + '-plus-' + of.sku} onClick={() => add(1000)}><Icon name="plus" /></button></div></li>;
}

function signed(quantity: number): string {
  return (quantity > 0 ? '+' : '') + formatQuantity(quantity);
}

function Interval({ of }: { of: CountedView }) {
  if (!of.moved_between) return null;
  return <span class="off warn">{tx('stockcount_between', { count: <Ltr>{signed(of.moved_between)}</Ltr>, from: <Ltr>{formatTime(of.first_at)}</Ltr>, to: <Ltr>{formatTime(of.last_at)}</Ltr> })}</span>;
}

/** Counting while the shop sells: begun, counted by scan, finished with what differs. */
export function StockCount() {
  const [count, setCount] = useState<StockCountView | null>(null);
  const [loaded, setLoaded] = useState(false);
  const [zone, setZone] = useState('');
  const [join, setJoin] = useState('');
  const { query, setQuery, rows } = useSearch();
  const open = count !== null && !count.finished;
  const heard = (asked: ReturnType<typeof run>) => asked.then((reply) => {
    if (reply && reply.type === 'StockCount') setCount(reply);
    return reply;
  });
  useEffect(() => {
    ask({ type: 'GetStockCount' }).then((answer) => {
      setLoaded(true);
      if (answer && 'ok' in answer && answer.ok.type === 'StockCount') setCount(answer.ok);
    });
  }, []);
  useScan((code) => {
    if (!open) {
      if (UUID.test(code)) setJoin(code);
      else soundBad();
      return;
    }
    heard(run({ type: 'ScanCounted', code })).then((reply) => reply ? soundGood() : soundBad());
  });
  const add = (variant: string, quantity: number) => heard(run({ type: 'AddCounted', variant, quantity }));
  if (!open) {
    return <div class="app"><Bar title={t('stock_count')} back={toStock} />
      {count ? <main class="scroll"><div class="narrow" data-testid="stockcount-done"><p class="lead">{tx('stockcount_done', { count: count.items })}</p>
        {count.rows.some((row) => row.difference !== 0) ? null : <p class="note ok"><Icon name="check" /><span>{t('stockcount_even')}</span></p>}</div>
        <ul class="rows flush">{count.rows.filter((row) => row.difference !== 0).map((row) => <li key={row.variant} class="row" data-testid={'difference-' + row.sku} data-difference={row.difference}><Named of={row}>
          <span class="quiet">{row.expected === null ? t('stock_unknown') : <Ltr>{formatQuantity(row.expected) + ' → ' + formatQuantity(row.quantity)}</Ltr>}</span><Interval of={row} /></Named>
          <b class="row-n zero">{row.difference === null ? '–' : <Ltr>{signed(row.difference)}</Ltr>}</b></li>)}</ul></main>
        : loaded ? <main class="scroll narrow"><p class="lead quiet">{t('stockcount_hint')}</p>
          <Input id="count-zone" label={t('stock_zone_count')} text={zone} set={setZone} ltr />
          <Input id="count-join" label={t('stockcount_join')} text={join} set={setJoin} ltr />
          <button type="button" class="btn go wide tall" data-testid="stockcount-start" disabled={join.trim() !== '' && !UUID.test(join.trim())} onClick={() => heard(run({ type: 'StartStockCount', zone: zone.trim() || null, document: join.trim() || null }))}>{t('stockcount_start')}</button></main> : null}</div>;
  }
  const finish = () => heard(runApproved((approval) => ({ type: 'FinishStockCount', approval }), t('stock_count')));
  const drop = () => {
    const id = openSheet(() => <SheetFrame id={id} title={t('stockcount_drop')}><div class="sheet-body"><div class="sheet-actions">
      <button type="button" class="btn" onClick={() => closeSheet(id)}>{t('cancel')}</button>
      <button type="button" class="btn danger" data-testid="stockcount-drop-go" onClick={() => { closeSheet(id); run({ type: 'DropStockCount' }).then((reply) => { if (reply) setCount(null); }); }}>{t('stockcount_drop')}</button></div></div></SheetFrame>);
  };
  return <div class="app"><Bar title={t('stock_count')} back={toStock}><span class="quiet bar-note"><Ltr>{count.zone}</Ltr></span></Bar>
    <div class="stock-find"><SearchField query={query} set={setQuery} /></div>
    <main class="scroll">{query.trim() ? <Found rows={rows || []} id="take-" take={(row) => { setQuery(''); add(row.variant, 1000); }} /> : <>
      {count.transfers ? <p class="note wait"><Icon name="info" /><span>{t('stock_on_way')} <Ltr>({count.transfers})</Ltr></span></p> : null}
      {count.rows.length ? <ul class="rows flush">{count.rows.map((row) => <Counter key={row.variant} of={row} n={row.found} id="counted" add={(by) => add(row.variant, by)}>
        {row.moved_since ? <span class="quiet"><Ltr>{'→ ' + formatQuantity(row.quantity)}</Ltr></span> : null}<Interval of={row} /></Counter>)}</ul> : <Empty icon="scan">{t('stock_scan')}</Empty>}
      <p class="quiet small center">{t('stock_count')}{' '}<Ltr>{count.document}</Ltr></p></>}</main>
    <footer class="foot"><div class="foot-row"><button type="button" class="btn side-text" data-testid="stockcount-drop" onClick={drop}>{t('stockcount_drop')}</button>
      <button type="button" class="btn go tall grow" data-testid="stockcount-finish" disabled={!count.items} onClick={finish}><span>{tx('stockcount_finish', { count: formatQuantity(count.units) })}</span></button></div></footer></div>;
}

const KINDS: Record<LineageKind, TillKey> = { sold: 'lineage_sold', reversed: 'lineage_reversed', received: 'stock_receive', adjusted: 'stock_adjust', sent: 'stock_send', arrived: 'stock_arrive', moved: 'lineage_moved', picked: 'lineage_picked', counted: 'stock_count' };

/** Why the till says that there are so many: the server's figure, the count under it, and what happened here since. */
function LineageBody({ id, of }: { id: number; of: LineageView }) {
  const since = of.steps.filter((step) => step.counts);
  const rest = of.steps.filter((step) => !step.counts);
  const list = (steps: typeof since) => <ul class="rows">{steps.map((step, i) => <li key={i} class="row" data-testid={'step-' + step.kind}><span class="row-main"><b>{t(KINDS[step.kind])}{step.reason ? ' · ' + t(('adjust_' + step.reason) as TillKey) : ''}</b>
    <span class="quiet"><Ltr>{formatTime(step.at)}</Ltr>{step.reference ? ' · ' : ''}<span dir="auto">{step.reference}</span>{step.zone === 'main' ? null : <Ltr>{' · ' + step.zone}</Ltr>}</span></span>
    <b class="row-n"><Ltr>{step.kind === 'counted' ? '= ' + formatQuantity(step.quantity) : signed(step.quantity)}</Ltr></b></li>)}</ul>;
  const counted = since.some((step) => step.kind === 'counted');
  return <SheetFrame id={id} title={t('lineage')}><div class="sheet-body">
    <Fact strong label={nameOf(of.names)}><span data-testid="lineage-quantity" data-quantity={of.quantity}>{of.quantity === null ? t('stock_unknown') : <Qty of={of.quantity} />}</span></Fact>
    {since.length ? list(since) : null}
    <Fact label={counted ? t('lineage_own_count') : t('lineage_served')}>{counted || of.served !== null ? <Qty of={of.start} /> : t('stock_never')}</Fact>
    {of.age_ms !== null ? <p class="quiet small">{tx('stock_age', { time: ageText(of.age_ms) })}{of.served_count ? [' · ', t('stock_count'), ' ', <Ltr>{of.served_count.stream.slice(0, 6) + ' ' + of.served_count.seq}</Ltr>] : null}</p> : null}
    {of.damaged ? <Fact label={t('lineage_damaged')}><Qty of={of.damaged} /></Fact> : null}
    {of.in_transit ? <Fact label={t('stock_on_way')}><Qty of={of.in_transit} /></Fact> : null}
    {Object.keys(of.zones).map((zone) => <Fact key={zone} label={<Ltr>{zone}</Ltr>}><Qty of={of.zones[zone] || 0} /></Fact>)}
    {rest.length ? <h3>{t('lineage_before')}</h3> : null}{rest.length ? list(rest) : null}
  </div></SheetFrame>;
}

export function openLineage(variant: string): void {
  run({ type: 'StockLineage', variant }).then((reply) => {
    if (!reply || reply.type !== 'Lineage') return;
    const id = openSheet(() => <LineageBody id={id} of={reply} />);
  });
}
