/** What a daemon is told from outside, beside its admin socket: by signals, on Windows by a pipe. */
import type { Log } from '../base/log.ts'
import { RESTART_SIGNAL } from './end-daemon.ts'
import { nodePaths } from './node-files.ts'
import { system } from './system.ts'
import { listenForWishes, type Wish } from './windows/daemon-pipe.ts'

export function onWish(dataDir: string, log: Log, act: (wish: Wish) => void): void {
  const stop = (signal: string) => {
    log.info('asked to stop', { signal })
    act('stop')
  }
  const restart = () => {
    log.info('asked to start again')
    act('restart')
  }
  // On Windows: CTRL+C, and the console's window that is closed.
  process.on('SIGINT', stop)
  process.on(system === 'windows' ? 'SIGHUP' : 'SIGTERM', stop)
  if (system !== 'windows') {
    process.on(RESTART_SIGNAL, restart)
    return
  }
  listenForWishes(nodePaths(dataDir).daemonPipe, {
    onWish: wish => (wish === 'stop' ? stop('none') : restart()),
    onError: error => log.warn('the daemon can be ended only by force', { error }),
  })
}
