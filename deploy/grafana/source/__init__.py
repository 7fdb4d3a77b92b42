"""The dashboards as code: charts declared one by one, written as Grafana's JSON by `python -m deploy.grafana.source.build`."""
