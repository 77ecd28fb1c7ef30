import { effect } from '@preact/signals';
import { Icon } from '../shared/parts';
import { Sheets, ToastBar } from './controls';
import { Boot, CloseShift, Enrol, OpenShift, SignIn } from './entry';
import { openMenu, Settings } from './menu';
import { Prints, Receipt, Receipts, Report } from './receipts';
import { Sale, Search } from './sale';
import { guardTaps, screen, sheets, trouble, view } from './state';
import { Change, Tender } from './tender';
import { t } from './texts';

function Current() {
  const now = screen.value;
  switch (view.value) {
    case 'boot': return <Boot />;
    case 'enrol': return <Enrol />;
    case 'signin': return <SignIn />;
    case 'openshift': return <OpenShift menu={openMenu} />;
    case 'sale': return <Sale />;
    case 'search': return <Search />;
    case 'tender': return <Tender />;
    case 'change': return now.at === 'change' ? <Change done={now.done} /> : null;
    case 'receipts': return <Receipts />;
    case 'receipt': return now.at === 'receipt' ? <Receipt view={now.view} /> : null;
    case 'report': return now.at === 'report' ? <Report report={now.report} /> : null;
    case 'close': return <CloseShift />;
    case 'settings': return <Settings />;
    case 'prints': return <Prints />;
  }
}

function Trouble() {
  if (!trouble.value) return null;
  return <div class="trouble" role="alert" data-testid="trouble"><Icon name="alert" /><span>{t(trouble.value === 'token' ? 'door_token' : 'door_unreachable')}</span></div>;
}

export function App() {
  return <div class="root" data-view={view.value}><Trouble /><Current /><Sheets />{view.value === 'sale' && !sheets.value.length ? null : <ToastBar />}</div>;
}

/** Taps are dead for a moment whenever another screen comes up. */
export function guardScreens(): void {
  let shown = view.peek();
  effect(() => {
    if (view.value !== shown) {
      shown = view.value;
      guardTaps();
    }
  });
}
