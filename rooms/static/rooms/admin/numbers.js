// Numbers as text, in the browser's language.

export const whole = (value) => Math.round(value).toLocaleString();
export const rate = (value) =>
  value >= 20 ? whole(value) : value.toLocaleString([], { maximumFractionDigits: 1 });
export const mebibytes = (bytes) => `${whole(bytes / 1_048_576)} MiB`;
export const percent = (share) => `${Math.round(share * 100)} %`;
export const milliseconds = (seconds) => `${Math.round(seconds * 1000)} ms`;
