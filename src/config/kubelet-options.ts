/** Options of this node's kubelet. */
import { type OptionInfo, optionsOf } from './option-info.ts'

const kubelet = optionsOf('kubelet')

export const kubeletOptions: readonly OptionInfo[] = [
  kubelet(
    { name: 'staticPodPath', flag: 'static-pod-path', type: 'file' },
    { default: '', meaning: '`manifests` in the data directory' },
    'A directory of manifests, or one file, of pods that this node runs by itself.',
  ),
  kubelet(
    { name: 'shutdownGracePeriod', flag: 'shutdown-grace-period', type: 'duration' },
    { default: '0s', meaning: '0s: pods get no time of their own' },
    'How long pods may take to end when the machine is shut down (systemd-logind, or mk8s stop --shutdown).',
  ),
  kubelet(
    {
      name: 'shutdownGracePeriodCriticalPods',
      flag: 'shutdown-grace-period-critical-pods',
      type: 'duration',
    },
    { default: '0s' },
    'How much of that time is for critical pods, after all others.',
  ),
  kubelet(
    {
      name: 'shutdownGracePeriodByPodPriority',
      flag: 'shutdown-grace-period-by-pod-priority',
      type: 'priority-times',
    },
    { default: '', meaning: 'from the two above' },
    'Instead of both, priority=time pairs with commas between: pods of that priority and more get the time.',
  ),
  kubelet(
    { name: 'evictionHard', flag: 'eviction-hard', type: 'thresholds' },
    {
      default:
        'memory.available<100Mi,nodefs.available<10%,nodefs.inodesFree<5%,imagefs.available<15%,imagefs.inodesFree<5%',
    },
    'What the node must have left; below it pods are evicted at once.',
  ),
  kubelet(
    { name: 'evictionSoft', flag: 'eviction-soft', type: 'thresholds' },
    { default: '', meaning: 'none' },
    'The same, where pods are evicted only after the time of that signal in evictionSoftGracePeriod.',
  ),
  kubelet(
    { name: 'evictionSoftGracePeriod', flag: 'eviction-soft-grace-period', type: 'signal-times' },
    { default: '', meaning: 'none' },
    'How long each soft threshold may stay unmet: memory.available=1m30s,nodefs.available=2m.',
  ),
  kubelet(
    { name: 'evictionMaxPodGracePeriod', flag: 'eviction-max-pod-grace-period', type: 'seconds' },
    { default: '0', meaning: '0: pods end at once' },
    'The most seconds that a pod gets which a soft threshold evicts.',
  ),
  kubelet(
    { name: 'evictionMinimumReclaim', flag: 'eviction-minimum-reclaim', type: 'signal-amounts' },
    { default: '', meaning: 'none' },
    'How much more than its threshold has to be free before evictions end: nodefs.available=500Mi.',
  ),
  kubelet(
    {
      name: 'evictionPressureTransitionPeriod',
      flag: 'eviction-pressure-transition-period',
      type: 'duration',
    },
    { default: '5m', meaning: '5m' },
    'How long a condition of pressure stays after the last shortage.',
  ),
  kubelet(
    { name: 'kubeReserved', flag: 'kube-reserved', type: 'quantities' },
    { default: '', meaning: 'nothing' },
    'What of the machine is for mk8s and not for pods, such as cpu=200m,memory=512Mi,ephemeral-storage=1Gi.',
  ),
  kubelet(
    { name: 'systemReserved', flag: 'system-reserved', type: 'quantities' },
    { default: '', meaning: 'nothing' },
    "What of the machine is for the system's own programs and not for pods, in the same form.",
  ),
  kubelet(
    { name: 'podPidsLimit', flag: 'pod-pids-limit', type: 'any-count' },
    { default: '', meaning: 'any number' },
    'How many processes a pod may have.',
  ),
  kubelet(
    {
      name: 'imagePullCredentialsVerificationPolicy',
      flag: 'image-pull-credentials-verification-policy',
      type: 'image-verification',
    },
    { default: 'NeverVerifyPreloadedImages' },
    'Which images that are there already a pod may use only with credentials that its registry takes.',
  ),
  kubelet(
    {
      name: 'imageCredentialProviderConfig',
      flag: 'image-credential-provider-config',
      type: 'file',
    },
    { default: '', meaning: 'none' },
    'Programs that have logins for registries: a CredentialProviderConfig of kubelet.config.k8s.io/v1.',
  ),
  kubelet(
    {
      name: 'imageCredentialProviderBinDir',
      flag: 'image-credential-provider-bin-dir',
      type: 'file',
    },
    { default: '', meaning: "the configuration's own directory" },
    'The directory of those programs.',
  ),
  kubelet(
    { name: 'cpuManagerPolicy', flag: 'cpu-manager-policy', type: 'cpu-policy' },
    { default: 'none', meaning: 'none' },
    'static: containers of Guaranteed pods that ask for whole processors have them for themselves (oci, containerd).',
  ),
  kubelet(
    { name: 'reservedSystemCPUs', flag: 'reserved-cpus', type: 'cpu-list' },
    { default: '', meaning: 'as many as kubeReserved and systemReserved say' },
    'Processors that static gives to nobody, such as 0-1; they count as reserved instead of cpu in those two.',
  ),
]
