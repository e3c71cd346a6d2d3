// keyshield on Railway, as code. Read by the Railway CLI, either from here
//
//     railway config plan --file deploy/railway/railway.ts
//
// or, when it is the only configuration of your project, from its usual place,
// .railway/railway.ts in the root of the repository. Steps: ../README.md.
// (railway.json and railway.toml are read no more from 2026-12-01.)
import { defineRailway, preserve, project, service, volume } from "railway/iac";

export default defineRailway((ctx) => {
  // What was spent. Without it every deploy would begin all budgets anew, and so
  // serve refuses to start.
  const ledger = volume("ledger", { sizeMB: 1024 });

  const keyshield = service("keyshield", {
    build: {
      builder: "DOCKERFILE",
      dockerfilePath: "deploy/Dockerfile",
    },
    // Asked once per deploy, and only 200 counts: a deploy that has no key set
    // or no way to check tokens never takes over.
    healthcheck: "/readyz",
    healthcheckTimeout: 60,
    // One: the ledger has one writer, and limits are counted in memory.
    replicas: 1,
    volumeMounts: {
      "/data": ledger,
    },
    env: {
      // SIGKILL follows SIGTERM at once unless this is set. Longer than
      // SHUTDOWN_GRACE (25s): running streams may end in peace.
      RAILWAY_DEPLOYMENT_DRAINING_SECONDS: "30",
      TRUSTED_PROXY: "railway",
      DATA_DIR: "/data",
      // Railway mounts a volume for root, and the image's user is not root: with
      // this the program runs as root in its container, or it could not write.
      RAILWAY_RUN_UID: "0",
      // preserve(): the value that you have set in Railway is kept. These three
      // never stand in a file. PORT is Railway's own and must not be set.
      OPENAI_API_KEY: preserve(),
      JWT_SECRET: preserve(),
      ALLOWED_ORIGINS: preserve(),
      // These two may be left out: the first opens /admin/ and /metrics to the operator
      // and the commands, the second says who is told when something is wrong.
      ADMIN_TOKEN: preserve(),
      ALERT_SLACK_URL: preserve(),
    },
  });

  return project(ctx.projectName ?? "keyshield", {
    resources: [keyshield, ledger],
  });
});
