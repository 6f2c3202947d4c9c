/** The text of the systemd unit. Pure. */
import { nodePaths } from './node-files.ts'

/**
 * A daemon that had served (it leaves `run/ready`) is started again after RestartSec. One that fails before it
 * serves waits longer, so that a broken node does not burn its machine. systemd's own growing pause
 * (RestartSteps) counts restarts over the whole life of the unit and is unknown to systemd 252.
 */
const AFTER_END = '[ "$SERVICE_RESULT" = success ] || [ -e "$1" ] || sleep 4; rm -f "$1"'

/**
 * `KillMode=process`: a restart of the daemon leaves the pods' processes running, as a kubelet's restart does;
 * `mk8s stop` ends them through the admin socket first.
 */
export function unitText({ program, dataDir }: { program: string; dataDir: string }): string {
  return `[Unit]
Description=mk8s, a Kubernetes node
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStart=${quote(program)} daemon --data-dir ${quote(dataDir)}
Restart=on-failure
RestartSec=1
ExecStopPost=-/bin/sh -c ${quote(AFTER_END)} sh ${quote(nodePaths(dataDir).ready)}
KillMode=process
TimeoutStopSec=30
Delegate=yes
LimitNOFILE=1048576
LimitNPROC=infinity
TasksMax=infinity
OOMScoreAdjust=-900

[Install]
WantedBy=multi-user.target
`
}

/** A word of ExecStart: quoted, with what systemd would expand taken literally. */
function quote(word: string): string {
  const literal = word
    .replaceAll('\\', '\\\\')
    .replaceAll('"', '\\"')
    .replaceAll('%', '%%')
    .replaceAll('$', '$$$$')
  return `"${literal}"`
}
