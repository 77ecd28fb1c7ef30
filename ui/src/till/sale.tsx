import type { ComponentChildren } from 'preact';
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import type { DiscountInput } from '../bindings/DiscountInput';
import type { LineView } from '../bindings/LineView';
import type { ParkedView } from '../bindings/ParkedView';
import type { Refusal } from '../bindings/Refusal';
import type { StockView } from '../bindings/StockView';
import type { VariantView } from '../bindings/VariantView';
import { formatQuantity, formatTime, parseScaled } from '../shared/format';
import { lang, nameOf } from '../shared/i18n';
import { Empty, Icon, Ltr, Qty } from '../shared/parts';
import { charge, park, scan } from './actions';
import { Keypad, SheetFrame, SyncPill, ToastBar, typed, Typed, typedMinor } from './controls';
import { useKeys } from './keys';
import { openMenu, openSyncSheet } from './menu';
import { openLineage } from './stock';
import { ask, cart, closeSheet, closeSheets, entry, go, openSheet, refresh, run, runApproved, say, sayRefusal, scanRefusal, screen, selected, sheets, status, wide } from './state';
import { ageText, Bare, codeText, discountNode, exponent, Money, percentText, t, tx } from './texts';

function lineOf(number: number | null): LineView | null {
  return cart.value?.lines.filter((line) => line.line === number)[0] || null;
}

export function removeLine(line: LineView): void {
  run({ type: 'RemoveLine', line: line.line }).then((reply) => {
    if (reply) say({ text: tx('line_removed', { name: nameOf(line.names) }), undo: () => run({ type: 'RestoreLine', line: line.line }) });
  });
}

function setQuantity(line: LineView, quantity: number): Promise<boolean> {
  return run({ type: 'SetQuantity', line: line.line, quantity }).then((reply) => reply !== null);
}

function setPrice(line: LineView, minor: number): Promise<boolean> {
  return runApproved((approval) => ({ type: 'SetPrice', line: line.line, unit_minor: minor, approval }),
    tx('approve_price', { name: nameOf(line.names), amount: <Money minor={minor} /> })).then((reply) => reply !== null);
}

/** On a line, or on the cart when there is none. */
function setDiscount(line: LineView | null, discount: DiscountInput): Promise<boolean> {
  const shown = discountNode(discount);
  return (line
    ? runApproved((approval) => ({ type: 'DiscountLine', line: line.line, discount, approval }), tx('approve_discount_line', { name: nameOf(line.names), discount: shown }))
    : runApproved((approval) => ({ type: 'DiscountCart', discount, approval }), tx('approve_discount_cart', { discount: shown }))
  ).then((reply) => reply !== null);
}

const QUICK_PERCENT = [5, 10, 15, 20, 30, 50];

function DiscountPane({ line, now, done }: { line: LineView | null; now: DiscountInput; done: () => void }) {
  const [percent, setPercent] = useState(now.type !== 'amount');
  const [text, setText] = useState('');
  const give = (discount: DiscountInput) => setDiscount(line, discount).then((ok) => { if (ok) done(); });
  const submit = () => {
    if (percent) {
      const bp = parseScaled(text, 2);
      if (bp !== null) give({ type: 'percent', bp });
    } else {
      const minor = typedMinor(text);
      if (minor !== null) give({ type: 'amount', minor });
    }
  };
  useKeys(({ key }) => {
    if (key !== 'Enter') return false;
    submit();
    return true;
  });
  return <div>
    <div class="langs two-way"><button type="button" class={percent ? 'on' : ''} data-testid="discount-percent" onClick={() => { setPercent(true); setText(''); }}>{t('by_percent')}</button>
      <button type="button" class={percent ? '' : 'on'} data-testid="discount-amount" onClick={() => { setPercent(false); setText(''); }}>{t('by_amount')}</button></div>
    {percent ? <div class="chips even" dir="ltr">{QUICK_PERCENT.map((n) => <button key={n} type="button" class="chip" data-testid={'discount-' + n} onClick={() => give({ type: 'percent', bp: n * 100 })}>{n}{'\u00a0%'}</button>)}</div> : null}
    <Typed text={text} unit={percent ? '%' : <CurrencySymbol />} />
    <Keypad press={(key) => setText((was) => typed(was, key))} corner="." small />
    <div class="sheet-actions">
      {now.type !== 'none' ? <button type="button" class="btn" data-testid="discount-none" onClick={() => give({ type: 'none' })}>{t('discount_none')}</button> : null}
      <button type="button" class="btn go" data-testid="discount-apply" disabled={!text} onClick={submit}>{t('apply')}</button></div>
  </div>;
}

export function CurrencySymbol() {
  const currency = status.value?.store?.currency;
  if (!currency) return null;
  return <span>{lang.value === 'ar' ? currency.symbol_arabic : currency.symbol_latin}</span>;
}

type LineTab = 'quantity' | 'price' | 'discount';

function LineSheet({ id, number, first }: { id: number; number: number; first: LineTab }) {
  const [tab, setTab] = useState<LineTab>(first);
  const [text, setText] = useState('');
  const line = lineOf(number);
  const done = () => closeSheet(id);
  const submit = () => {
    if (!line || tab === 'discount') return;
    if (tab === 'quantity') {
      const quantity = parseScaled(text, 3);
      if (quantity !== null) setQuantity(line, quantity).then((ok) => { if (ok) done(); });
      else done();
    } else {
      const minor = typedMinor(text);
      if (minor !== null) setPrice(line, minor).then((ok) => { if (ok) done(); });
    }
  };
  useKeys(({ key }) => {
    if (key === 'Enter') submit();
    else if (key === 'Delete' && line) {
      done();
      removeLine(line);
    } else return false;
    return true;
  });
  if (!line) return null;
  const tabs: [LineTab, string][] = [['quantity', t('quantity')], ['price', t('price')], ['discount', t('discount')]];
  return <SheetFrame id={id} title={nameOf(line.names)}>
    <div class="sheet-body">
      <p class="line-facts"><span dir="auto">{line.options}</span> <span class="quiet"><Ltr>{line.sku}</Ltr></span></p>
      <div class="tabs" role="tablist">{tabs.map(([name, label]) => <button key={name} type="button" role="tab" aria-selected={tab === name} class={tab === name ? 'on' : ''}
        data-testid={'line-tab-' + name} onClick={() => { setTab(name); setText(''); }}>{label}</button>)}</div>
      {tab === 'quantity' ? <div>
        <div class="step big" dir="ltr">
          <button type="button" aria-label={t('take_one')} data-testid="qty-minus" disabled={line.quantity <= 1000} onClick={() => { setText(''); setQuantity(line, line.quantity - 1000); }}><Icon name="minus" /></button>
          <span class={text ? 'step-n' : 'step-n idle'} data-testid="qty-value">{text || formatQuantity(line.quantity)}</span>
          <button type="button" aria-label={t('add_one')} data-testid="qty-plus" onClick={() => { setText(''); setQuantity(line, line.quantity + 1000); }}><Icon name="plus" /></button></div>
        <Keypad press={(key) => setText((was) => typed(was, key, 7))} corner="." small />
        <div class="sheet-actions"><button type="button" class="btn danger" data-testid="line-remove" onClick={() => { done(); removeLine(line); }}><Icon name="bin" />{t('remove')}</button>
          <button type="button" class="btn go" data-testid="line-apply" onClick={submit}>{t('apply')}</button></div>
      </div> : null}
      {tab === 'price' ? <div>
        <p class="quiet center">{tx('price_list', { amount: <Money minor={line.list_minor} /> })}</p>
        <Typed text={text} hint={<Bare minor={line.unit_minor} />} unit={<CurrencySymbol />} />
        <Keypad press={(key) => setText((was) => typed(was, key))} corner="." small />
        <div class="sheet-actions"><button type="button" class="btn go" data-testid="line-apply" disabled={!text} onClick={submit}>{t('apply')}</button></div>
      </div> : null}
      {tab === 'discount' ? <DiscountPane line={line} now={line.discount} done={done} /> : null}
      {tab === 'quantity' ? <button type="button" class="btn wide plain" data-testid="line-stock" onClick={() => openStock(line.variant)}>{t('stock')}</button> : null}
    </div>
  </SheetFrame>;
}

export function openLine(number: number, first: LineTab = 'quantity'): void {
  selected.value = number;
  const id = openSheet(() => <LineSheet id={id} number={number} first={first} />);
}

export function openCartDiscount(): void {
  const now = cart.value;
  if (!now || !now.lines.length) return;
  const id = openSheet(() => <SheetFrame id={id} title={t('discount_cart')}><div class="sheet-body">
    <DiscountPane line={null} now={cart.value ? cart.value.cart_discount : { type: 'none' }} done={() => closeSheet(id)} />
    <button type="button" class="btn wide plain danger" data-testid="clear-cart" onClick={() => { closeSheet(id); askClear(); }}>{t('clear_cart')}</button>
  </div></SheetFrame>);
}

function askClear(): void {
  const id = openSheet(() => <SheetFrame id={id} title={t('clear_cart')}><div class="sheet-body"><p class="lead">{t('clear_cart_ask')}</p>
    <div class="sheet-actions"><button type="button" class="btn" onClick={() => closeSheet(id)}>{t('cancel')}</button>
      <button type="button" class="btn danger" data-testid="clear-cart-go" onClick={() => { closeSheet(id); run({ type: 'ClearCart' }); }}>{t('clear_cart')}</button></div></div></SheetFrame>);
}

function StockBody({ id, stock }: { id: number; stock: StockView }) {
  const { variant, locations } = stock;
  return <SheetFrame id={id} title={nameOf(variant.names)}>
    <div class="sheet-body">
      <p class="line-facts"><span dir="auto">{variant.options}</span> <span class="quiet"><Ltr>{variant.sku}</Ltr></span>
        <b class="end">{variant.price_minor === null ? t('no_price') : <Money minor={variant.price_minor} />}</b></p>
      {variant.class !== 'shelf' ? <p class="note">{variant.class === 'strict' ? t('stock_strict') : t('stock_untracked')}</p> : null}
      {variant.parts.length ? <p class="note" data-testid="kit-parts"><span>{t('kit')}{' '}{variant.parts.map((part, i) => <span key={i}>{i ? ' · ' : ''}<Qty of={part.quantity} />{' × '}{nameOf(part.names)}{' '}<span dir="auto">{part.options}</span>{' '}<span class="quiet"><Ltr>{part.sku}</Ltr></span></span>)}</span></p> : null}
      <ul class="rows">{locations.map((at, i) => <li key={at.location} class="row">
        <span class="row-main"><b>{nameOf(at.name)}</b><span class="quiet">{i === 0 ? t('stock_here') + ' · ' : ''}{at.age_ms === null ? t('stock_never') : tx('stock_age', { time: ageText(at.age_ms) })}</span></span>
        <b class={at.quantity !== null && at.quantity <= 0 ? 'row-n zero' : 'row-n'} data-testid={'stock-' + i}>{at.quantity === null ? t('stock_unknown') : <Qty of={at.quantity} />}</b></li>)}</ul>
      {variant.class === 'untracked' || variant.parts.length ? null : <button type="button" class="btn wide plain" data-testid="stock-lineage" onClick={() => openLineage(variant.variant)}>{t('lineage')}</button>}
      {status.value && status.value.shift ? <button type="button" class="btn go wide" data-testid="stock-add" onClick={() => { closeSheets(); addVariant(variant); }}>{t('add_to_cart')}</button> : null}
    </div>
  </SheetFrame>;
}

export function openStock(variant: string): void {
  run({ type: 'StockOf', variant }).then((reply) => {
    if (!reply || reply.type !== 'Stock') return;
    const id = openSheet(() => <StockBody id={id} stock={reply} />);
  });
}

function addVariant(variant: VariantView): void {
  ask({ type: 'AddLine', variant: variant.variant, quantity: null }).then((answer) => {
    if (!answer) return;
    if ('refused' in answer && answer.refused.code !== 'no_right') {
      sayRefusal(answer.refused);
      return;
    }
    scanRefusal.value = 'refused' in answer ? answer.refused : null;
    if (!wide.value || screen.value.at !== 'home') go({ at: 'home' });
  });
}

/** What no right is left for is sold when a manager says so. */
function sellWithoutRight(refused: Refusal): void {
  const variant = String(refused.params.variant);
  runApproved((approval) => ({ type: 'SellWithoutRight', variant, quantity: null, approval }),
    t('approve_no_right', { sku: String(refused.params.sku) })).then((reply) => { if (reply) scanRefusal.value = null; });
}

function ParkedBody({ id }: { id: number }) {
  const [carts, setCarts] = useState<ParkedView[] | null>(null);
  const [label, setLabel] = useState('');
  useEffect(() => {
    run({ type: 'ListParked' }).then((reply) => { if (reply && reply.type === 'Parked') setCarts(reply.carts); });
  }, []);
  const now = cart.value;
  return <SheetFrame id={id} title={t('parked_title')}>
    <div class="sheet-body">
      {now && now.lines.length ? <form class="park-form" onSubmit={(event) => {
        event.preventDefault();
        run({ type: 'Park', label: label.trim() || null }).then((reply) => {
          if (!reply) return;
          closeSheet(id);
          say({ text: t('parked_done') });
          if (reply.type !== 'Cart') ask({ type: 'GetCart' });
          refresh();
        });
      }}><input class="input" maxLength={60} aria-label={t('park_label')} placeholder={t('park_label')} value={label} onInput={(event) => setLabel(event.currentTarget.value)} />
        <button type="submit" class="btn" data-testid="park-labelled"><Icon name="park" />{t('park')}</button></form> : null}
      {carts && !carts.length ? <Empty icon="park">{t('parked_none')}</Empty> : null}
      <ul class="rows">{(carts || []).map((parked, i) => <li key={parked.sale}><button type="button" class="row tap" data-testid={'parked-' + i} onClick={() => {
        run({ type: 'Recall', sale: parked.sale }).then((reply) => {
          if (!reply) return;
          closeSheet(id);
          if (reply.type !== 'Cart') ask({ type: 'GetCart' });
          refresh();
        });
      }}><span class="row-main"><b>{parked.label || (parked.first ? nameOf(parked.first) : t('parked_untitled'))}</b>
        <span class="quiet"><Ltr>{formatTime(parked.at).replace(/^.* /, '')}</Ltr>{' · '}{tx('articles', { count: formatQuantity(parked.units) })}</span></span>
        <b class="row-n"><Money minor={parked.total_minor} /></b></button></li>)}</ul>
    </div>
  </SheetFrame>;
}

export function openParked(): void {
  const id = openSheet(() => <ParkedBody id={id} />);
}

function Line({ line, lit }: { line: LineView; lit: boolean }) {
  const discount = line.discount.type === 'percent' ? tx('discount_percent', { percent: <Ltr>{percentText(line.discount.bp)}</Ltr> })
    : line.discount.type === 'amount' ? tx('discount_amount', { amount: <Money minor={line.discount_minor} /> }) : null;
  return <li class={lit ? 'line lit' : 'line'} data-testid={'line-' + line.line} data-sku={line.sku} data-quantity={line.quantity}>
    <button type="button" class="line-tap" onClick={() => { if (wide.value && !lit) selected.value = line.line; else openLine(line.line); }}>
      <span class="line-main"><b>{nameOf(line.names)}</b><span class="quiet"><span dir="auto">{line.options}</span></span>{discount ? <span class="off">{discount}</span> : null}</span>
      <span class="line-side"><b><Money minor={line.total_minor} /></b>
        {line.quantity !== 1000 || line.unit_minor !== line.list_minor || line.discount_minor !== 0
          ? <span class="quiet"><Ltr>{formatQuantity(line.quantity)}{' × '}<Bare minor={line.unit_minor} /></Ltr></span> : null}</span>
    </button>
    {lit ? <div class="line-tools"><div class="step" dir="ltr">
      <button type="button" aria-label={t('take_one')} data-testid={'line-' + line.line + '-minus'} disabled={line.quantity <= 1000} onClick={() => setQuantity(line, line.quantity - 1000)}><Icon name="minus" /></button>
      <button type="button" class="step-n" aria-label={t('quantity') + ' ' + formatQuantity(line.quantity)} data-testid={'line-' + line.line + '-quantity'} onClick={() => openLine(line.line)}>{formatQuantity(line.quantity)}</button>
      <button type="button" aria-label={t('add_one')} data-testid={'line-' + line.line + '-plus'} onClick={() => setQuantity(line, line.quantity + 1000)}><Icon name="plus" /></button></div>
      <button type="button" class="tool" aria-label={t('remove')} data-testid={'line-' + line.line + '-remove'} onClick={() => removeLine(line)}><Icon name="bin" /></button></div> : null}
  </li>;
}

export function CartLines({ still }: { still?: boolean }) {
  const now = cart.value;
  const box = useRef<HTMLDivElement>(null);
  const count = now ? now.lines.length : 0;
  const lit = still ? null : selected.value;
  useLayoutEffect(() => {
    const at = box.current && (box.current.querySelector('.lit') || box.current.querySelector('li:last-child'));
    if (!box.current || !at) return;
    const row = at as HTMLElement;
    if (row.offsetTop < box.current.scrollTop) box.current.scrollTop = row.offsetTop;
    else if (row.offsetTop + row.offsetHeight > box.current.scrollTop + box.current.clientHeight) box.current.scrollTop = row.offsetTop + row.offsetHeight - box.current.clientHeight;
  }, [count, lit, now]);
  return <div class="cart" ref={box}>
    {now && count ? <ul class="lines">{now.lines.map((line) => <Line key={line.line} line={line} lit={line.line === lit} />)}</ul>
      : <Empty icon="scan" title={t('cart_empty')}>{t('cart_empty_hint')}</Empty>}
  </div>;
}

export function CartNotes() {
  const refused = scanRefusal.value;
  const warnings = cart.value ? cart.value.warnings : [];
  return <div class="notes-area">
    {warnings.map((warning, i) => <p key={i} class="note wait" data-testid="cart-warning"><Icon name="alert" /><span>{codeText(warning.code, warning.params)}</span></p>)}
    {refused ? <p class="note bad" role="alert" data-testid="scan-error" data-code={refused.code}><Icon name="scan" /><span>{codeText(refused.code, refused.params)}</span>
      {refused.code === 'no_right' && refused.params.variant ? <button type="button" class="link" data-testid="sell-without-right" onClick={() => sellWithoutRight(refused)}>{t('sell_without_right')}</button> : null}
      <button type="button" class="ib" aria-label={t('close')} onClick={() => { scanRefusal.value = null; }}><Icon name="cross" /></button></p> : null}
    {sheets.value.length ? null : <ToastBar inline />}
  </div>;
}

export function CartSums() {
  const now = cart.value;
  if (!now) return null;
  return <div class="sums">
    {now.cart_discount_minor || now.levies.length ? <div class="sum"><span>{t('subtotal')}</span><span><Money minor={now.subtotal_minor} /></span></div> : null}
    {now.cart_discount_minor ? <div class="sum off"><span>{now.cart_discount.type === 'percent' ? tx('discount_percent', { percent: <Ltr>{percentText(now.cart_discount.bp)}</Ltr> }) : t('discount')}</span><span><Money minor={-now.cart_discount_minor} /></span></div> : null}
    {now.levies.map((levy) => <div key={levy.code} class="sum"><span>{t('levy')}</span><span><Money minor={levy.minor} /></span></div>)}
    <div class="sum"><span data-testid="cart-units" data-units={now.units}>{tx('articles', { count: formatQuantity(now.units) })}</span>
      <span>{now.taxes.length === 1 && now.taxes[0] ? tx('tax_included', { amount: <Money minor={now.taxes[0].tax_minor} /> }) : null}</span></div>
  </div>;
}

function SaleFoot() {
  const now = cart.value;
  const none = !now || !now.lines.length;
  return <footer class="foot"><CartSums />
    <div class="foot-row">
      <button type="button" class="btn side" aria-label={t('park')} data-testid="park" disabled={none} onClick={park}><Icon name="park" /></button>
      <button type="button" class="btn side" aria-label={t('discount_cart')} data-testid="discount" disabled={none} onClick={openCartDiscount}><Icon name="percent" /></button>
      <button type="button" class="btn go charge" data-testid="charge" disabled={none} onClick={charge}><span>{t('charge')}</span>
        <span data-testid="cart-total" data-minor={now ? now.total_minor : 0}><Money minor={now ? now.total_minor : 0} /></span></button>
    </div></footer>;
}

/** Results of a search, refreshed while typing; an older answer never replaces a newer one. */
export function useSearch() {
  const [query, setQuery] = useState('');
  const [rows, setRows] = useState<VariantView[] | null>(null);
  const [more, setMore] = useState(false);
  const asked = useRef(0);
  const sale = cart.value?.sale;
  const load = (text: string, offset: number) => {
    const number = asked.current += 1;
    ask({ type: 'Search', query: text, offset, limit: 48 }).then((answer) => {
      if (number !== asked.current || !answer) return;
      if ('refused' in answer) sayRefusal(answer.refused);
      else if (answer.ok.type === 'Variants') {
        const found = answer.ok;
        setRows((was) => offset && was ? was.concat(found.rows) : found.rows);
        setMore(found.more);
      }
    });
  };
  useEffect(() => {
    const timer = setTimeout(() => load(query.trim(), 0), rows ? 120 : 0);
    return () => clearTimeout(timer);
  }, [query, sale]);
  return { query, setQuery, rows, more, loadMore: () => load(query.trim(), rows ? rows.length : 0) };
}

function enterCode(query: string, clear: () => void): void {
  const code = query.trim();
  if (/^[\dA-Za-z][\dA-Za-z.\/-]{5,}$/.test(code)) {
    clear();
    scan(code);
  }
}

function stockLabel(row: VariantView): string {
  return t('stock') + ' ' + (row.stock === null ? '–' : formatQuantity(row.stock));
}

export function StockBadge({ row }: { row: VariantView }) {
  if (row.stock === null) return <span class="badge none">{'–'}</span>;
  return <span class={row.stock <= 0 ? 'badge zero' : 'badge'}><Qty of={row.stock} /></span>;
}

export function SearchField({ query, set, focus }: { query: string; set: (text: string) => void; focus?: boolean }) {
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => {
    if (focus && input.current) input.current.focus();
  }, []);
  return <label class="search-field"><Icon name="search" /><input ref={input} type="text" {...(query ? { dir: 'auto' as const } : {})} data-testid="search-input" autocomplete="off" spellcheck={false} aria-label={t('search')} placeholder={t('search')} value={query}
    onInput={(event) => set(event.currentTarget.value)} onKeyDown={(event) => {
      if (event.key === 'Enter') enterCode(query, () => set(''));
      else if (event.key === 'Escape') {
        set('');
        event.currentTarget.blur();
      }
    }} />{query ? <button type="button" class="ib" aria-label={t('erase')} onClick={() => set('')}><Icon name="cross" /></button> : null}</label>;
}

export function Search() {
  const { query, setQuery, rows, more, loadMore } = useSearch();
  useKeys(({ key }) => {
    if (key !== 'Escape') return false;
    go({ at: 'home' });
    return true;
  });
  return <div class="app">
    <header class="bar"><button type="button" class="ib" aria-label={t('back')} data-testid="back" onClick={() => go({ at: 'home' })}><Icon name="back" /></button>
      <SearchField query={query} set={setQuery} focus /></header>
    <main class="scroll"><ul class="rows flush">{(rows || []).map((row) => <li key={row.variant} class="result">
      <button type="button" class="row tap" data-testid={'result-' + row.sku} disabled={row.price_minor === null} onClick={() => addVariant(row)}>
        <span class="row-main"><b>{nameOf(row.names)}</b><span class="quiet"><span dir="auto">{row.options}</span></span><span class="quiet small"><Ltr>{row.sku}</Ltr></span></span>
        <b class="row-n">{row.price_minor === null ? t('no_price') : <Money minor={row.price_minor} />}</b></button>
      <button type="button" class="ib stock-tap" aria-label={stockLabel(row)} data-testid={'stock-of-' + row.sku} onClick={() => openStock(row.variant)}><StockBadge row={row} /></button></li>)}</ul>
      {rows && !rows.length ? <Empty icon="search">{query.trim() ? tx('search_none', { query: <span dir="auto">{query.trim()}</span> }) : t('search_empty')}</Empty> : null}
      {more ? <button type="button" class="btn wide plain" data-testid="search-more" onClick={loadMore}>{t('more')}</button> : null}</main>
  </div>;
}

function Tiles() {
  const { query, setQuery, rows, more, loadMore } = useSearch();
  return <section class="tiles-side">
    <SearchField query={query} set={setQuery} />
    <div class="tiles">{(rows || []).map((row) => <div class="tile" key={row.variant}><div class="tile-in">
      <button type="button" class="tile-tap" data-testid={'result-' + row.sku} disabled={row.price_minor === null} onClick={() => addVariant(row)}><b>{nameOf(row.names)}</b><span class="quiet"><span dir="auto">{row.options}</span></span></button>
      <div class="tile-foot"><span class="tile-price">{row.price_minor === null ? t('no_price') : <Money minor={row.price_minor} />}</span>
        <button type="button" class="tile-stock" aria-label={stockLabel(row)} data-testid={'stock-of-' + row.sku} onClick={() => openStock(row.variant)}><StockBadge row={row} /></button></div></div></div>)}
      {rows && !rows.length ? <Empty icon="search">{query.trim() ? tx('search_none', { query: <span dir="auto">{query.trim()}</span> }) : t('search_empty')}</Empty> : null}
      {more ? <button type="button" class="btn wide plain" data-testid="search-more" onClick={loadMore}>{t('more')}</button> : null}</div>
  </section>;
}

/** Does what a function key of the desk does: on the digits typed before it, or by opening its sheet. */
function apply(what: LineTab): void {
  const line = lineOf(selected.value);
  const text = entry.value;
  if (!line) return;
  entry.value = '';
  if (!text) {
    openLine(line.line, what);
    return;
  }
  const value = parseScaled(text, what === 'quantity' ? 3 : what === 'discount' ? 2 : exponent());
  if (value === null) return;
  if (what === 'quantity') setQuantity(line, value);
  else if (what === 'price') setPrice(line, value);
  else setDiscount(line, { type: 'percent', bp: value });
}

function Desk() {
  const now = cart.value;
  const none = !now || !now.lines.length;
  const line = lineOf(selected.value);
  const deskButton = (label: ComponentChildren, id: string, act: () => void, off = none) =>
    <button type="button" class="btn desk-key" data-testid={id} disabled={off} onClick={act}>{label}</button>;
  return <section class="desk-side">
    <div class={line ? 'desk-line' : 'desk-line idle'}><b>{line ? nameOf(line.names) : t('cart')}</b><span class="quiet"><span dir="auto">{line ? line.options : ''}</span></span></div>
    <Typed text={entry.value} hint={line ? formatQuantity(line.quantity) : '0'} />
    <Keypad press={(key) => { entry.value = typed(entry.value, key, 14); }} corner="." small />
    <div class="desk-keys">
      {deskButton(t('quantity'), 'desk-quantity', () => apply('quantity'))}
      {deskButton(t('price'), 'desk-price', () => apply('price'))}
      {deskButton(t('discount'), 'desk-discount', () => apply('discount'))}
      {deskButton(t('remove'), 'desk-remove', () => { if (line) removeLine(line); })}
    </div>
    <button type="button" class="btn desk-recall" data-testid="recall" onClick={openParked}><Icon name="recall" />{t('recall')}{status.value && status.value.parked ? <span class="count-badge">{status.value.parked}</span> : null}</button>
  </section>;
}

const HINTS: [string, Parameters<typeof t>[0]][] = [['F2', 'key_search'], ['F4', 'key_quantity'], ['F6', 'key_park'], ['F7', 'key_recall'], ['F9', 'key_discount'], ['F12', 'key_charge']];

function moveSelection(by: number): void {
  const lines = cart.value ? cart.value.lines : [];
  let at = lines.length - 1;
  lines.forEach((line, i) => { if (line.line === selected.value) at = i; });
  const next = lines[Math.min(lines.length - 1, Math.max(0, at + by))];
  if (next) selected.value = next.line;
}

/** Longest pause between digits that belong to one code. */
const SLOW_SCAN_MS = 1500;
let digitAt = 0;

function saleKey(key: string): boolean {
  const line = lineOf(selected.value);
  if (/^\d$/.test(key)) {
    // No keypad is on screen: the digits of a scanner too slow to be told from a person, or of a person.
    const now = performance.now();
    entry.value = typed(now - digitAt > SLOW_SCAN_MS ? '' : entry.value, key, 14);
    digitAt = now;
    return true;
  }
  if (key === 'F2') {
    const input = document.querySelector<HTMLInputElement>('[data-testid="search-input"]');
    if (input) input.focus();
    else go({ at: 'search' });
  } else if (key === 'F4') apply('quantity');
  else if (key === 'F6') park();
  else if (key === 'F7') openParked();
  else if (key === 'F9') {
    if (entry.value) apply('discount');
    else openCartDiscount();
  } else if (key === 'F12') charge();
  else if (key === 'Delete' && line) removeLine(line);
  else if (key === 'ArrowUp') moveSelection(-1);
  else if (key === 'ArrowDown') moveSelection(1);
  else if (key === 'Escape') entry.value = '';
  else if (key === 'Enter' && entry.value.length >= 6) {
    const code = entry.value;
    entry.value = '';
    scan(code);
  } else if (key.length === 1 && /\S/.test(key) && !/[\d.,]/.test(key)) {
    // Letters typed without a field in focus are a search.
    const input = document.querySelector<HTMLInputElement>('[data-testid="search-input"]');
    if (!input) return false;
    input.focus();
    input.value += key;
    input.dispatchEvent(new Event('input', { bubbles: true }));
  } else return false;
  return true;
}

function PrintBanner() {
  const printer = status.value?.printer;
  if (!printer || !printer.uncertain) return null;
  return <button type="button" class="note wait tap" data-testid="print-banner" onClick={() => go({ at: 'prints' })}><Icon name="print" /><span>{tx('prints_banner', { count: printer.uncertain })}</span><Icon name="next" /></button>;
}

/** Which drawer takes the money, where there are several. */
function DrawerNo() {
  const now = status.value;
  return now && now.store && now.store.drawers > 1 ? <span data-testid="drawer-no" data-drawer={now.drawer}>{tx('drawer_n', { drawer: <Ltr>{now.drawer}</Ltr> })}{' · '}</span> : null;
}

export function Sale() {
  useKeys(({ key }) => saleKey(key));
  const now = status.value;
  if (!now) return null;
  if (wide.value) {
    return <div class="app">
      <header class="bar"><button type="button" class="ib" aria-label={t('menu')} data-testid="menu" onClick={openMenu}><Icon name="menu" /></button>
        <h1 class="two"><b>{now.store ? nameOf(now.store.name) : ''}</b><span class="quiet">{tx('till_no', { till: <Ltr>{now.till}</Ltr> })}{' · '}<DrawerNo />{now.user ? now.user.name : ''}</span></h1>
        <SyncPill open={openSyncSheet} /></header>
      <main class="desk">
        <section class="desk-cart"><PrintBanner /><CartLines /><CartNotes /><SaleFoot /></section>
        <Tiles />
        <Desk />
      </main>
      <footer class="hints">{HINTS.map(([key, text]) => <span key={key}><kbd>{key}</kbd>{t(text)}</span>)}</footer>
    </div>;
  }
  return <div class="app">
    <header class="bar"><button type="button" class="ib" aria-label={t('menu')} data-testid="menu" onClick={openMenu}><Icon name="menu" /></button>
      <button type="button" class="search-tap" data-testid="search" onClick={() => go({ at: 'search' })}><Icon name="search" />{t('search')}</button>
      <button type="button" class="ib" aria-label={t('recall') + (now.parked ? ' ' + now.parked : '')} data-testid="recall" onClick={openParked}><Icon name="recall" />{now.parked ? <span class="count-badge">{now.parked}</span> : null}</button></header>
    <div class="strip"><SyncPill open={openSyncSheet} /><span class="quiet"><DrawerNo />{now.user ? now.user.name : ''}</span></div>
    <PrintBanner />
    <main class="mid"><CartLines /><CartNotes /></main>
    <SaleFoot />
  </div>;
}
